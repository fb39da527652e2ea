"""Does a network find the year in "Sono andato in Nepal nel 2009", at any position?

The question opens chapter 10 of Goodfellow, Bengio and Courville, Deep Learning (2016): a
feedforward network has separate weights for each position and must learn the language again at
each; a recurrent network shares its weights over time; a time-delay network shares them too, but
sees only neighbors.

    examples    sentences with one answer each, moved to any offset, with typos as people make them
    design      training and test sets: held-out bands of offsets, held-out answers
    readers     the models: other heads on charlm's bodies, and charlm's language model as a writer
    training    one reader, one seed
    grid        what the grid of readers and seeds stores; its table
    mistakes    what kind of error a wrong answer is
    measures    accuracies and differences by the place of the answer
    report      the table and the strips for the terminal
    plots       the figures (matplotlib)
    page        one HTML page with everything
    store       trained readers as files, and their vocabulary
    ask         use trained readers: answers, scores, saliency
    saliency    which characters moved an answer, in colour

What is the same in every experiment is in ``charlm.experiments``.
"""

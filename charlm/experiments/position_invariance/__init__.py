"""Does a network find the year in "Sono andato in Nepal nel 2009", wherever it stands?

The question opens chapter 10 of Goodfellow, Bengio and Courville, Deep Learning (2016): a
feedforward network has weights of its own for every place and must learn the language anew at each;
a recurrent network shares its weights over time; a time-delay network shares them too, but sees
only neighbours.

    examples    sentences, an answer in each, moved to any offset and disturbed as people write
    design      what is trained and what is tested: held-out bands of offsets, held-out answers
    readers     the contestants: other heads on charlm's own bodies, and charlm itself as a writer
    training    one reader, one seed
    grid        all readers and seeds, side by side, resumable; results.json
    measures    accuracies, intervals, paired differences
    report      the table and the heat strips of a terminal
    plots       the figures (matplotlib)
    page        one HTML page with all of it
    store       trained readers as files
    ask         trained readers at work: answers, scores, saliency
    saliency    which characters moved an answer, in colour
"""

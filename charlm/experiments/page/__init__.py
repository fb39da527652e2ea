"""Does a network find the year of a trip on a page, at any place?

The sister of the position-invariance experiment, in two dimensions: the recurrences of Graves,
Fernandez and Schmidhuber (2007) and of Visin et al. (2015), and the networks without recurrence
that are used for pages and images.

    layouts     pages with one asked number: tables, forms, diaries, boarding passes
    design      training and test pages: held-out bands of rows and columns
    readers     the models: one head on the bodies of charlm.models
    training    one reader, one seed
    grid        all readers and seeds, and pages of other widths
    measures    accuracies by place, family and width
    report      tables, strips and sentences for the terminal
    plots       the figures (matplotlib)
    examples    where the word of a page's asked number is
    htmlpage    one HTML page with everything
    store       trained readers as files
    sheets      pages of the user's own, cut or padded; files of pages with their answers
    ask         use trained readers: answers, scores, saliency

What is the same in every experiment is in ``charlm.experiments``.
"""

"""Looking inside a trained model: arrays first, pictures second.

module       what it computes, as arrays                       its picture
reading      the surprisal of every character                  textmap.svg, pages.score_page
comparing    the paired difference of two readings             plots.comparison
unrolling    states and gates, step by step                    unrolling.svg
unrolling2d  the graph of a recurrence over a page             unrolling2d.svg
neurons      the unit that best predicts a label; ablation     textmap.svg, pages.neurons_page
memory       loss against context; the linear probe            plots.memory
novelty      what a sample copies from the training text

and with torch:

adapting     the score of a model that learns as it reads
gradients    norms of gradients against the lag                plots.gradients
rebuilding   what a decoder reads from a state alone
horizon      all of memory and rebuilding, with controls       plots.memory
report       everything on one page                            report.html
"""

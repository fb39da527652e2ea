"""Many models of one text, trained independently of each other and compared: ``charlm sweep``.

design     which runs there are: the grid, the seeds, and what each run is called
work       one run, in one of the processes: ``charlm train`` with the options of its cell
store      the directory of a sweep: what is finished, what is missing, which run is the best
ranking    the runs of one configuration together, the best configuration first
plots      the figure: loss against parameters and seconds
"""

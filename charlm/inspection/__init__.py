"""Looking inside a trained model: arrays first, pictures second.

reading     the surprisal of every character of a text, and what the model expected instead
adapting    the same by a model that learns as it reads (needs torch)
"""

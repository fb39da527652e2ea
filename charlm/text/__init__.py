"""From files to the batches of training: reading, tokenizer, dataset, streams; made corpora."""

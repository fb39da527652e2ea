"""From files to training batches: reading, tokenizer, dataset, streams; and generated corpora."""

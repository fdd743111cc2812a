"""Token batches in, streamed feature statistics out, aligned with and without demonstrations."""

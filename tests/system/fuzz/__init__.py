"""What a hostile client might send: inputs made from a seed, most of them malformed, nearly all of them small."""

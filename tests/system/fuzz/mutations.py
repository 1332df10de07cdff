"""What is done to bytes that were good, and the numbers at which code breaks."""

import random

EDGES = (0, 1, -1, 92, 93, 100_000, 100_001, 2**31 - 1, -(2**31), 2**32, 2**53, 2**63 - 1, -(2**63), 2**64)


def mutated(random_: random.Random, text: bytes) -> bytes:
    """A few bytes changed, put in, taken out or cut off."""
    changed = bytearray(text)
    for _ in range(random_.randrange(1, 6)):
        at = random_.randrange(len(changed) + 1)
        length = random_.randrange(4)
        changed[at : at + random_.randrange(4)] = random_.randbytes(length)
    return bytes(changed if random_.random() < 0.8 else cut(random_, bytes(changed)))


def cut(random_: random.Random, text: bytes) -> bytes:
    return text[: random_.randrange(len(text) + 1)]

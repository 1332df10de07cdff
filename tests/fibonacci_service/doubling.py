"""An oracle of its own: F(n) modulo m by the doubling identities, in plain integers."""


def number_modulo(n: int, modulus: int) -> int:
    this, following = 0, 1
    for bit in f"{n:b}":
        doubled = this * (2 * following - this)
        this, following = doubled % modulus, (this * this + following * following) % modulus
        if bit == "1":
            this, following = following, (this + following) % modulus
    return this % modulus

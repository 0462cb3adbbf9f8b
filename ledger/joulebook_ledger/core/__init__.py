"""The rule of the books: units, periods, facts, factors, booking, frontier.

Law of this folder: standard library only, and of it nothing that could answer differently tomorrow. No clock, file, network,
environment or random number; no floats but where a share or an uncertainty is computed for people. What is here is the oracle:
the set-wise SQL of `store` must give the same integers, digit for digit.
"""

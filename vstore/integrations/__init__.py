"""Stores as the parts that frameworks ask for. Each module needs the extra of its name; none is imported by others."""

"""The refinement loop: signals from use, and what a store learns from them."""

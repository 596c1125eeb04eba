"""What rfmd promises, computed another way: plain Python, written from the contract and not from the C code."""

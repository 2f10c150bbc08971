"""Faults and healthy specs that measure the doctor out of sample: README.md of the clinic describes them."""

"""Labs: live trainings, each in a process of its own, with what a page draws of them."""

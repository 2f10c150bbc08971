"""What takes long: computed in a second process of each lab, so that the training and its frames never wait."""

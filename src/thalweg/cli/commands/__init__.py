"""The subcommands of `thalweg`, one file each."""

"""The playground: a local web page on which networks are built, trained while you watch, and examined."""

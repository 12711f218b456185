"""Published logs, MovieLens and MIND, as the two files of the world `interactions`."""

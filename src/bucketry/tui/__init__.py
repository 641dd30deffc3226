"""The screens: a face of the registry for people at a terminal."""

"""What the files of a version hold: code that runs when they are loaded, and formats that are not what they claim."""

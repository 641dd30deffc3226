"""The screen that compares two to four versions: the screen itself and what it draws, part by part."""

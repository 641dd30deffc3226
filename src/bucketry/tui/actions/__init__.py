"""What a user does from a screen that changes something: decide, promote, edit, give up, download."""

"""What holds the screens together: the app, its keys, the line that asks and answers, and what runs behind it."""

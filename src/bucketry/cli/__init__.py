"""What does one type, and what comes back: text for people, one JSON document for scripts, an exit code for both?"""

"""Values as lines of text, for both faces: a line is a list of spans, and a span is a text with its meaning."""

"""The exit codes of `seqgpt-lab` beside 0 and 1; imports nothing, so that whoever has to leave early can know them."""

BAD_USE = 2
INTERRUPTED = 130  # 128 + SIGINT, what a shell shows for a program that Ctrl-C ended
CLOSED_PIPE = 141  # 128 + SIGPIPE

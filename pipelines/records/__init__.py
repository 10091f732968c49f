"""What is kept of calls: journals, the index, transcripts; restored, swept."""

"""Defines the files that a study writes and reads back, as typed, versioned values."""

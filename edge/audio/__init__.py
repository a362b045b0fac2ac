"""Sources of audio: microphones, files, pipes and network streams."""

"""Live providers of grid intensities: one file each behind one protocol (`answers.Provider`). None is asked unless it is switched on."""

"""Where a run is computed: in this process, on Ray, or on SuperNodes."""

"""The command line. Its offline half uses the pure modules only: no network, no Azure."""

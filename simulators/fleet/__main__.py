"""``python -m simulators.fleet``: the stand-ins."""

from simulators.fleet.stand_ins import main

if __name__ == "__main__":
    main()

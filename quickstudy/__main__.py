"""``python -m quickstudy`` is ``quickstudy``."""

from quickstudy.cli import main

if __name__ == "__main__":
    main()

"""Run one trial: train a network, test its best checkpoint once, write the record.

python train.py fit --model=EqCNN --data=MNIST --seed_everything=3 --trainer.max_epochs=5
python train.py fit --help
"""

import sys

from headtohead.trial.main import main

if __name__ == "__main__":
    sys.exit(main())

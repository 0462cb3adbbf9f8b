"""Tracks the training of a random forest on scikit-learn's handwritten digits: the example of the README.

python examples/six_lines.py        (needs scikit-learn: pip install 'joulebook[quickstart]')
"""

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

import joulebook

images, digits = load_digits(return_X_y=True)
with joulebook.track(model="forest", task="digits", stage="training") as run:
    model = RandomForestClassifier(500, random_state=0).fit(images[:1300], digits[:1300])
    run.log(accuracy=model.score(images[1300:], digits[1300:]))
print(run)

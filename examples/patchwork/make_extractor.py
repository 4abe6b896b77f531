"""Makes my_pretrained_extractor.h5, the fully convolutional Keras network that patchwork.ts and spec.yml build on.

It learns OpenMoji's twelve groups from all of the demo's training images at 32x32 pixels; the classifier is then dropped
and the convolutional part saved. The images that patchwork.ts evaluates on are none of them: both split by glyph.

    npm run example:patchwork -- --images 5000 --epochs 1   # draws all images into demo/patchwork
    pip install tensorflow-cpu==2.21.0
    python examples/patchwork/make_extractor.py demo/patchwork

Seeds are fixed; about a minute on two cores. The weights may still differ in the last digits between machines.
"""

import csv
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
L = keras.layers
EPOCHS = 12


def read_table(folder, name, classes=None):
    """Images [N,32,32,3] in 0..1, as mttc gives them to the extractor, and the classes of their groups."""
    with open(os.path.join(folder, name), newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["group"]]
    classes = classes or sorted({row["group"] for row in rows})
    files = [tf.io.read_file(os.path.join(folder, row["filepath"])) for row in rows]
    images = np.stack([tf.io.decode_png(file, channels=3) for file in files]).astype("float32") / 255
    return images, np.array([classes.index(row["group"]) for row in rows]), classes


def extractor():
    """[N,H,W,3] of any size -> features [N,H/8,W/8,64]."""
    x = image = L.Input((None, None, 3), name="image")
    for block, filters in enumerate([24, 32, 64], start=1):
        x = L.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{block}")(x)
        x = L.BatchNormalization(momentum=0.9, name=f"norm{block}")(x)
        x = L.Activation("relu", name=f"relu{block}")(x)
        x = L.MaxPooling2D(2, name=f"pool{block}")(x)
    return keras.Model(image, x, name="extractor")


def main(folder):
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    images, groups, classes = read_table(folder, "train.csv")
    val_images, val_groups, _ = read_table(folder, "val.csv", classes)
    fcn = extractor()
    pooled = L.Dropout(0.25)(L.GlobalMaxPooling2D()(fcn.output))
    model = keras.Model(fcn.input, L.Dense(len(classes), activation="softmax")(pooled))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, groups, batch_size=32, epochs=EPOCHS, validation_data=(val_images, val_groups), verbose=2)
    fcn.save(os.path.join(HERE, "my_pretrained_extractor.h5"))


main(sys.argv[1])

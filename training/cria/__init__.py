"""The bundled tiny model: how its training data is made, how it is trained, measured and shipped."""

"""What MAML is tried on in Part III of the book: a module per world, and its network.

==================  =======================================================================
images              few-shot images: glyphs from fonts, Omniglot, digits, episodes
images_torch        the convolutional network for them, and ProtoNet
handwriting         tasks within one alphabet, for the official one-shot task of Omniglot
detection           few-shot detection: scenes of glyphs, boxes, template matching
detection_torch     the detector, its loss, and the boxes that it says
language            names in a hundred languages as tasks, letters as hashed n-grams
intents             real sentences as tasks, on any features; how their authors pack them
intents_torch       a pretrained encoder of sentences, and LoRA through it
navigation          walks to an unseen goal, adapted by policy gradient
arm                 a robot arm with unknown payload, its motions as tasks
driving             a car with unknown grip, its drives as tasks
steering            a controller that drives a car by a model of it
contestants_torch   six kinds of model, each with a small family of tasks that suits it
==================  =======================================================================
"""

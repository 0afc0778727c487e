"""The checkable sentences of chapter 4, each with what must be true in its kernel."""

SETUP = """
import itertools

import torch.nn.functional as F
from lenet_course.explorers.distortion import accuracy_at

mnist_images = mnist_train_iter.dataset.images
better_net.eval()
better_probabilities = torch.cat([lenet.predict(better_net, X) for X, _ in test_iter])
better_per_class = accuracy_per_class(better_probabilities.argmax(1), test_images.labels.long())
hardest = [set(accuracies.argsort()[:2].tolist()) for accuracies in history.T]
all_confusions = wrong.clone()
steps_acc = {name: [run["test_acc"] for run in runs] for name, runs in steps.items()}
means = [sum(accs) / len(accs) for accs in steps_acc.values()]
names_of_steps = list(steps_acc)
cycle_optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1, momentum=0.9)
cycle_scheduler = torch.optim.lr_scheduler.OneCycleLR(cycle_optimizer, 0.1, total_steps=100)
cycle = []
for _ in range(99):
    cycle.append(cycle_optimizer.param_groups[0]["lr"])
    cycle_optimizer.step()
    cycle_scheduler.step()
conv2 = [m for m in net if isinstance(m, nn.Conv2d)][1]
of_shirts, predictions = test_images.labels == 6, probabilities.argmax(1)
shirts_as_coats, recognised_shirts = (probabilities[of_shirts & (predictions == c)] for c in (4, 6))

def by_sgd(**settings):
    # A weight after each of six steps on the loss w ** 2.
    w, places = torch.ones(1, requires_grad=True), []
    sgd = torch.optim.SGD([w], lr=0.1, **settings)
    for _ in range(6):
        sgd.zero_grad()
        (w**2).sum().backward()
        sgd.step()
        places.append(w.item())
    return torch.tensor(places)

def by_formula(mu=0.0, nesterov=False, decay=0.0):
    # The same by the formulas of the chapter.
    w, v, places = 1.0, 0.0, []
    for _ in range(6):
        g = 2 * w
        g = g + decay * w
        v = mu * v + g
        w = w - 0.1 * (g + mu * v) if nesterov else w - 0.1 * v
        places.append(w)
    return torch.tensor(places)

def spread_at(epoch):
    at_epoch = lenet.make_lenet()
    at_epoch.load_state_dict(fashion_run.checkpoints[epoch])
    X, _ = next(iter(lenet.batches(test_images, 1000, shuffle=False)))
    return lenet.predict(at_epoch, X).std(0).max()
"""

CLAIMS = [
    (
        "for each of the 10000 test images the ten probabilities",
        "probabilities.shape == (10000, 10)",
    ),
    (
        "Shoes, bags and trousers are nearly always recognised",
        "not as_shipped or per_class[[1, 5, 7, 8, 9]].min() > 0.85",
    ),
    (
        "two kinds are missed more often than found",
        "not as_shipped or (per_class < 0.5).nonzero().flatten().tolist() == [2, 6]",
    ),
    (
        "As each class has 1000 test images, the mean of the ten bars is the accuracy over all.",
        "test_images.labels.bincount().tolist() == [1000] * 10 and abs(per_class.mean() - accuracy) < 1e-6",
    ),
    (
        "Shirt is one of the two after eight of the ten epochs; the other is now the pullover, now the coat.",
        "not as_shipped or (sum(6 in pair for pair in hardest) == 8 and {2, 6} in hardest and {4, 6} in hardest and len(hardest) == 10)",
    ),
    (
        "(After the first epoch five classes stand at 0.00; the list of changes covers the last five epochs only.)",
        "not as_shipped or ((history[:, 0] < 0.005).sum() == 5 and history.shape[1] == 10)",
    ),
    (
        "Trousers and bags stay recognised from the second epoch on, the shoes from the fifth; t-shirt and dress swing too.",
        "not as_shipped or (history[[1, 8], 1:].min() > 0.8 and history[[5, 7, 9], 4:].min() > 0.8 and change[[0, 3]].min() > 0.1)",
    ),
    (
        "Number the pairs $10i + j$, count the numbers, and fold the hundred counts into a square",
        "confusion.shape == (10, 10) and confusion.numel() == 100",
    ),
    (
        "correct predictions lie on the diagonal",
        "not as_shipped or confusion.diag().sum() == round(10000 * accuracy)",
    ),
    (
        "among tops and dresses (five classes) or among the three kinds of shoes",
        "len(TOPS_AND_DRESSES) == 5 and len(SHOES) == 3",
    ),
    (
        "Tops and dresses are taken for other tops and dresses, and shoes for other shoes",
        "not as_shipped or inside > 0.85 * wrong.sum()",
    ),
    (
        "430 pullovers are called coats, and hardly any coat is called a pullover, for this network says “pullover” far less often than there are pullovers.",
        "not as_shipped or (confusion[2, 4] == 430 and confusion[4, 2] < 10 and confusion[:, 2].sum() < 500)",
    ),
    (
        "Are the others too hard to tell apart at 28 × 28 pixels? No: the better network at the end of this chapter, on the same pixels, recognises most of what this one misses.",
        "not as_shipped or better_run.stopped or (better_probabilities.argmax(1)[is_wrong] == "
        "test_images.labels[is_wrong]).float().mean() > 0.5",
    ),
    (
        "When it is wrong it is less confident, as it should be; yet of these twelve it is almost certain.",
        "confidence[is_wrong].mean() < confidence[~is_wrong].mean() and "
        "(not as_shipped or confidence[most_confident].min() > 0.99) and len(most_confident) == 12",
    ),
    (
        "Of the 301 shirts that are called coats, nearly nine in ten have *shirt* in second place, typically with a probability of about 0.2. A shirt that is recognised typically gets about 0.6",
        "not as_shipped or (len(shirts_as_coats) == 301 and 0.85 < (shirts_as_coats.topk(2).indices[:, 1] == 6).float().mean() < 0.9 "
        "and 0.15 < shirts_as_coats[:, 6].median() < 0.25 and 0.55 < recognised_shirts[:, 6].median() < 0.65)",
    ),
    (
        "for shirts the network's confidence is seldom high.",
        "not as_shipped or ((probabilities[of_shirts].amax(1) > 0.8).float().mean() < 0.2 < 0.5 < (probabilities[~of_shirts].amax(1) > 0.8).float().mean())",
    ),
    (
        "At epoch 1, the first checkpoint after the start, where the loss has just begun to fall. At epoch 0, and as far as the plateau reaches, the probabilities are nearly the same for every image.",
        "not as_shipped or spread_at(0) < 0.001 < 0.1 < spread_at(1)",
    ),
    ("which of its 25 weights are positive?", "net[1].weight[0].numel() == 25"),
    (
        "The six filters of the first convolution are 5 × 5 numbers each",
        "net[1].weight.shape == (6, 1, 5, 5)",
    ),
    (
        "Before, each value is on its own; after, neighbours go together.",
        "not as_shipped or (abs(before) < 0.3 and after > before + 0.3)",
    ),
    (
        "Near 0 before, as for independent numbers. After training it is about halfway to 1",
        "not as_shipped or (abs(before) < 0.2 and 0.4 < after < 0.6)",
    ),
    (
        "Each of the second convolution's 16 kernels is six deep, with 5 × 5 weights for each channel that it gets: 96 such slices in all. A row belongs to one channel of conv 1; a column is one kernel, which makes one channel of conv 2:",
        "conv2.weight.shape == (16, 6, 5, 5) and 16 * 6 == 96",
    ),
    ("The second convolution's maps, 10 × 10 values each", "maps2.shape == (16, 10, 10)"),
    (
        "28 × 28 grey pixels, ten classes. MNIST's training file holds 60000 images.",
        "mnist_images.shape == (60000, 28, 28) and mnist_train_iter.dataset.labels.unique().numel() == 10",
    ),
    (
        "The 50000 in the lesson are what is left when 10000 are held out for validation",
        "60000 - 10000 == 50000 == len(train_part)",
    ),
    (
        "The plateau is there again, and it is longer: for more than three epochs nothing seems to happen.",
        "not as_in_the_lesson or 3 < plateau < 4",
    ),
    (
        "most of their pixels are 0",
        "(mnist_images == 0).float().mean() > 0.75 and (train_iter.dataset.images == 0).float().mean() < 0.55",
    ),
    (
        "the images differ less from each other than those of clothes do",
        "digits < 0.75 * clothes",
    ),
    (
        "Once over it, digits are far easier.",
        "not (as_in_the_lesson and as_shipped) or mnist_run.test_acc > accuracy + 0.15",
    ),
    (
        "The ten probabilities always add up to 1. There is no class for",
        "probabilities.sum(1).allclose(torch.ones(10000), atol=1e-4)",
    ),
    (
        "A shift to the right by one pixel costs little, one by two pixels or a rotation by 20 degrees about a tenth of the accuracy, a shift by four pixels about half of it.",
        "not as_in_the_lesson or (mnist_run.test_acc - by_one < 0.03 and "
        "all(0.05 < mnist_run.test_acc - a < 0.15 for a in (by_two, turned)) and "
        "0.4 < mnist_run.test_acc - by_four < 0.6)",
    ),
    (
        "Eight steps, each with one change",
        "len(steps) == 9",
    ),
    (
        "ReLU brings most, but mainly it regains what the small learning rate had lost: within ten epochs, the lower rate on its own makes the sigmoid network much worse.",
        "means[1] < means[0] - 0.5 and max(b - a for a, b in itertools.pairwise(means)) == means[2] - means[1] and means[2] - means[0] < 0.05",
    ),
    (
        "And weight decay changes the mean by −0.0012, within the spread: here it shows no effect.",
        "round(means[6] - means[5], 4) == -0.0012 and max(steps_acc[names_of_steps[6]]) > min(steps_acc[names_of_steps[5]])",
    ),
    ("| **momentum** 0.9 |", "names_of_steps[4] == 'Nesterov momentum 0.9'"),
    (
        r"Momentum and weight decay as formulas, as PyTorch's SGD computes them, with the gradient $g$ and, for each weight $w$, a velocity $v$ that begins at 0:",
        "by_sgd(momentum=0.9, weight_decay=0.2).allclose(by_formula(mu=0.9, decay=0.2), atol=1e-5)",
    ),
    (
        r"momentum: $v \leftarrow \mu v + g$, then $w \leftarrow w - \text{lr} \cdot v$;",
        "by_sgd(momentum=0.9).allclose(by_formula(mu=0.9), atol=1e-5)",
    ),
    (
        r"the same $v$, then $w \leftarrow w - \text{lr} \cdot (g + \mu v)$;",
        "by_sgd(momentum=0.9, nesterov=True).allclose(by_formula(mu=0.9, nesterov=True), atol=1e-5)",
    ),
    (
        r"weight decay: before the others, $g \leftarrow g + \lambda w$.",
        "by_sgd(weight_decay=0.2).allclose(by_formula(decay=0.2), atol=1e-5) and "
        "by_sgd(momentum=0.9, nesterov=True, weight_decay=0.2).allclose(by_formula(0.9, True, 0.2), atol=1e-5)",
    ),
    (
        "for one channel of the first convolution and 256 test images",
        "convolved.numel() == 256 * 28 * 28",
    ),
    (
        "first to mean 0 and variance 1, then to what the two learned numbers of this channel make of that.",
        "abs(normalised.mean()) < 1e-4 and abs(normalised.var() - 1) < 1e-3 and (scale * normalised + shift).allclose("
        "F.batch_norm(convolved[:, None], None, None, norm.weight[[channel]], norm.bias[[channel]], training=True)[:, 0], atol=1e-3)",
    ),
    (
        "The spike is the background: where all pixels under the window are 0, a convolution without a bias gives 0.",
        "shipped[1].bias is None and (shipped[1](torch.zeros(1, 1, 28, 28)) == 0).all() and (convolved == 0).float().mean() > 0.2",
    ),
    (
        "brought to mean 0 and variance 1, then scaled and shifted by two learned numbers",
        "[p.numel() for p in nn.BatchNorm2d(6).parameters()] == [6, 6] and "
        "abs(nn.BatchNorm2d(3)(torch.randn(64, 3, 5, 5) * 7 + 2).var() - 1) < 0.05",
    ),
    (
        "| **learning rate** 0.2 at its peak |",
        "names_of_steps[-1] == 'learning rate 0.2 at its peak'",
    ),
    (
        "for ten epochs, with three seeds each (the lesson's network with five)",
        "[len(runs) for runs in steps.values()] == [5] + [3] * 8",
    ),
    (
        "Which of the eight steps brings most? Does one of them make things worse?",
        "len(means) == 9 and min(b - a for a, b in zip(means, means[1:])) < 0",
    ),
    (
        "The lesson's 61706 parameters, minus one bias and plus two numbers for each normalised channel: 226 more",
        "num_parameters == 61706 + 226",
    ),
    (
        "over the first three tenths of the steps and then down to almost nothing",
        "28 <= cycle.index(max(cycle)) <= 31 and cycle[-1] < 0.001 * max(cycle)",
    ),
    (
        "59. It also takes 56 coats for pullovers, so that this confusion has hardly a direction left.",
        "better_confusion[2, 4] == 59 and better_confusion[4, 2] == 56",
    ),
    (
        "the better network recognises 25 coats fewer, for the lesson's calls 1711 images a coat, of which there are 1000",
        "not as_shipped or (confusion[4, 4] - better_confusion[4, 4] == 25 and confusion[:, 4].sum() == 1711 and confusion[4].sum() == 1000)",
    ),
    (
        "The lesson's network takes 430 pullovers for coats.",
        "not as_shipped or confusion[2, 4] == 430",
    ),
    (
        "Above 0.91, and past the end of the lesson's run after a single epoch.",
        "better_run.stopped or (better_run.test_acc > 0.91 and "
        "better_run.test[0][1] > steps['the lesson\\'s network'][0]['test_acc'])",
    ),
    (
        "10000 that they were trained on, and the 10000 test images",
        "len(seen) == 10000 == len(test_images)",
    ),
    (
        "The lesson's network is hardly better on the images that it has seen",
        "not as_shipped or 0 < gaps[\"the lesson's\"]['training images'] - "
        "gaps[\"the lesson's\"]['test images'] < 0.02",
    ),
    (
        "The better one has a gap of several hundredths.",
        "better_run.stopped or 0.03 < gaps['better']['training images'] - gaps['better']['test images'] < 0.09",
    ),
    (
        r"varies with the standard deviation $\sqrt{p(1-p)/10000}$",
        "abs(torch.distributions.Binomial(10000, torch.tensor(p)).stddev / 10000 - "
        "math.sqrt(p * (1 - p) / 10000)) < 1e-6",
    ),
    ("For $p = 0.91$", "p == 0.91"),
    (
        "About 0.003. Differences of a few thousandths between two networks may be chance",
        "round(math.sqrt(p * (1 - p) / 10000), 3) == 0.003",
    ),
    (
        "the networks would learn from a sixth fewer images",
        "(60000 - len(train_part)) * 6 == 60000 and len(validation) == 10000",
    ),
    (
        "shoes, bags and trousers are safe, while shirt is nearly always among the two worst, and pullover and coat take turns beside it.",
        "not as_shipped or (sum(6 in pair for pair in hardest) >= 8 and {2, 6} in hardest and {4, 6} in hardest "
        "and change[[2, 4, 6]].min() > 2 * change[[1, 5, 7, 8, 9]].max())",
    ),
    (
        "**Above 0.91** with a network of nearly the same size",
        "better_run.stopped or better_run.test_acc > 0.91",
    ),
    ("which the lesson's 50000 leave room for", "60000 - 50000 == len(validation)"),
    (
        "train a network of the same size that gets above 0.91 on Fashion-MNIST",
        "better_run.stopped or better_run.test_acc > 0.91",
    ),
]
UNCHECKED = {
    "For the 7 there is no one answer": "it is for the reader to draw",
    "click an image to see what every layer makes of it, and the ten probabilities": "the explorer's own tests",
    "The largest of the ten probabilities is the **confidence**": "a definition",
    "How little of a 7 is enough for a 7?": "a question",
    "keeps the strongest value of four": "what a maximum of 2 x 2 values is",
    "a few hundredths, a few thousandths or a few ten-thousandths?": "a question",
    "A likely reason: ten digits differ in their shape": "the ten digits",
    "Which two classes are confused most": "a question",
    "so a cross or a boot becomes one of the ten": "follows from the sentence before it",
    "Were the two hardest classes the hardest": "a question",
    "| **learning rate** 0.05 instead of 0.9 |": "the name of a step",
}

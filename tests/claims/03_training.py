"""The checkable sentences of chapter 3, each with what must be true in its kernel."""

SETUP = """
import contextlib
import importlib.metadata
import io

import numpy as np
import torch.nn.functional as F

def five(values):
    return results[values].max() - results[values].min()

def sizes_of(data):
    return [len(y) for _, y in lenet.batches(data, 256, shuffle=False)]

plateaus = json.loads((lenet.COURSE / "results" / "plateau.json").read_text())["runs"]

def ends(activation, lr):
    wanted = {"activation": activation, "lr": lr, "factor": 1, "data": "FashionMNIST", "scaled_to": ""}
    return [run["end"] for run in plateaus if wanted.items() <= run.items()]

def loss_of_unequal_batches():
    # What the chapter's train_ch6 prints for batches of three images and of one, without a step.
    X, y = (part[:4] for part in few_batches[0])
    new = lenet.make_lenet()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        train_ch6(new, [(X[:3], y[:3]), (X[3:], y[3:])], few_test[:1], 1, 0.0, "cpu")
    return printed.getvalue(), f"loss {F.cross_entropy(new(X), y):.3f}"

low_rate = [run["loss"] for run in steps["learning rate 0.05 instead of 0.9"]]
sigmoid_end = spreads[nn.Sigmoid, "Xavier"]
plain_end = {name: spreads[nn.Identity, name] for name in FACTORS}
epochs_of_gradients = [epoch for epoch, _ in run.gradients]
letters = torch.zeros(4, 26)
epochs_3 = [epoch for epoch, _, _ in run.train if epoch <= 3]
first_gradient = gradients[-2]  # of the weights of dense 3
d2l_version = importlib.metadata.version("d2l")
weight_start = weight
one = torch.ones(1, requires_grad=True)
(3 * one).backward()  # a gradient of 3
torch.optim.SGD([one], lr=0.1).step()
stepped = one.item()
"""

CLAIMS = [
    (
        "60000 training and 10000 test images each, 28 × 28 grey pixels, ten classes",
        "train_iter.dataset.images.shape == (60000, 28, 28) and len(test_iter.dataset) == 10000 "
        "and len(lenet.load_images('MNIST', True)) == 60000 and len(train_iter.dataset.labels.unique()) == 10",
    ),
    ("234 full batches and one of 96.", "sizes_of(train_iter.dataset) == [256] * 234 + [96]"),
    (
        "In the file the pixels are bytes, from 0 to 255; here they are numbers from 0 to 1.",
        "train_iter.dataset.images.dtype == torch.uint8 and train_iter.dataset.images.max() == 255 "
        "and (X.min(), X.max()) == (0, 1)",
    ),
    (
        "256 images, one channel, 28 rows, 28 columns: (256, 1, 28, 28)",
        "X.shape == (256, 1, 28, 28)",
    ),
    (
        "Every epoch draws a new order; the same seed draws the same one.",
        "not X_next.equal(X) and X_again.equal(X)",
    ),
    (
        "which are positive and add up to 1",
        "(torch.randn(9, 10).softmax(1) > 0).all() and torch.randn(9, 10).softmax(1).sum(1).allclose(torch.ones(9))",
    ),
    (
        r"$$p_i = \frac{e^{o_i}}{\sum_j e^{o_j}} .$$",
        "(letters + 3 * torch.eye(26)[:4]).softmax(1)[0, 0].isclose(torch.tensor(math.e**3 / (math.e**3 + 25)))",
    ),
    (
        r"What softmax does shows in three logits. All three probabilities are positive, that of the negative logit too, and a logit that is larger by 1 gets $e \approx 2.72$ times the probability:",
        "len(three_logits) == 3 and three_logits.min() < 0 < three_logits.softmax(0).min() and three_logits[0] == three_logits[1] + 1 "
        "and round((three_logits.softmax(0)[0] / three_logits.softmax(0)[1]).item(), 2) == 2.72 == round(math.e, 2)",
    ),
    ("it is most confident of class 7", "predicted.unique().tolist() == [7]"),
    (
        r"$$l = -\frac{1}{B} \sum_{b=1}^{B} \ln p_{b,\,y_b} .$$",
        "loss(letters + torch.eye(26)[:4], torch.arange(4)).isclose("
        "-(letters + torch.eye(26)[:4]).softmax(1)[range(4), range(4)].log().mean())",
    ),
    (
        "A loss of 0 is perfect, and there is no upper limit",
        "loss(certain, y) == 0 and loss(-10 * certain, y) > 1000",
    ),
    (
        r"Minus the logarithm of 1/10 is $\ln 10 \approx 2.3026$.",
        "abs(math.log(10) - 2.3026) < 1e-4",
    ),
    (
        "**A loss of 2.30 is the price of knowing nothing.**",
        "round(loss(torch.zeros(256, 10), y).item(), 2) == 2.30",
    ),
    ("Our new network pays more than that, 2.46", "round(loss_after(0.0), 2) == 2.46"),
    (
        "would change with each of the 61706 parameters",
        "sum(p.numel() for p in net.parameters()) == 61706",
    ),
    ("It *rose*.", "loss_after(0.9) > loss_after(0.0)"),
    ("for learning rates from 0 to 1.2", "(rates[0], round(rates[-1], 6)) == (0, 1.2)"),
    (
        "With a learning rate of 0.1 the step leads downhill, with 0.3 to the bottom of this valley, and "
        "with 0.9 up the other side.",
        "loss_after(0.3) < loss_after(0.1) < loss_after(0.0) < loss_after(0.9) and "
        "0.25 < min(rates, key=loss_after) < 0.35",
    ),
    (
        "after a few wild batches the loss settles at 2.30, where the gradients are small.",
        "np.median([g[-1] for e, g in run.gradients if 0.2 < e < 0.8]) < "
        "0.3 * np.sqrt(np.mean(first_gradient.numpy() ** 2))",
    ),
    ("Twice the gradient: `backward` **adds** to what is there.", "abs(ratio.mean() - 2) < 1e-3"),
    ("d2l, in its edition 0.17.0", "d2l_version == '0.17.0'"),
    ("d2l's loader starts four processes", "d2l.get_dataloader_workers() == 4"),
    ("For the 256 images of the batch", "len(X) == 256"),
    (
        "It **counts** the correct predictions",
        "d2l.accuracy(y_hat, y) == (y_hat.argmax(1) == y).sum()",
    ),
    (
        "sets each of its inputs to 0 with probability 1/2 while training, and doubles the rest",
        "set(nn.Dropout(0.5)(torch.ones(1000)).tolist()) == {0.0, 2.0}",
    ),
    (
        "It does: `net.eval()` switches no gradients off. The logits are the same either way.",
        "with_gradients.requires_grad and not without.requires_grad and with_gradients.equal(without)",
    ),
    ("for the 10000 test images?", "len(test_iter.dataset) == 10000"),
    ("One in ten, as by guessing.", "accuracy == 0.1"),
    (
        "it predicts class 7, sneaker, for every image, and one test image in ten is a sneaker",
        "lenet.FASHION_LABELS[7] == 'sneaker' and (test_iter.dataset.labels == 7).float().mean() == 0.1",
    ),
    ("Why do ten thousand different images get the same prediction?", "len(predicted) == 10_000"),
    (
        r"$$\operatorname{Var}(o) = n_\text{in}\,\sigma^2\,\gamma^2 .$$",
        "abs((torch.randn(20000, 50) * 0.3 @ (torch.randn(50, 1) * 2)).var() / (50 * 4 * 0.09) - 1) < 0.5",
    ),
    (
        r"$\sigma^2 = \frac{2}{n_\text{in} + n_\text{out}} .$",
        "abs(weight.var() / (2 / (400 + 120)) - 1) < 0.02 and weight.shape == (120, 400)",
    ),
    (
        "draws uniformly from $[-a, a]$, which has the variance $a^2/3$",
        "abs(torch.rand(10**6).mul(2).sub(1).var() * 3 - 1) < 0.01",
    ),
    (
        r"$$a = \sqrt{\frac{6}{n_\text{in} + n_\text{out}}} .$$",
        "weight_start.abs().max() <= a < weight_start.abs().max() * 1.001",
    ),
    (
        "$n_\\text{in}$ counts the values under the window, 5 × 5 × the input channels, and $n_\\text{out}$ is 5 × 5 × the output channels.",
        "nn.init._calculate_fan_in_and_fan_out(net[4].weight) == (5 * 5 * 6, 5 * 5 * 16)",
    ),
    ("measures at each of the five layers with weights", "len(LAYERS) == 5 == len(sigmoid_end)"),
    (
        "What becomes of the spread over five layers with weights a third of Xavier's? With three times "
        "Xavier's?",
        "sorted(FACTORS.values()) == [1 / 3, 1, 3]",
    ),
    (
        "Without an activation Xavier's weights keep the signal level through five layers.",
        "0.5 < plain_end['Xavier'][-1] / plain_end['Xavier'][0] < 2",
    ),
    (
        "Weights a third as large lose it, weights three times as large make it explode.",
        "plain_end['Xavier / 3'][-1] < plain_end['Xavier'][-1] / 100 and "
        "plain_end['3 × Xavier'][-1] > 100 * plain_end['Xavier'][-1]",
    ),
    (
        "in the ten logits the images differ hundreds of times less than after the first convolution",
        "200 < sigmoid_end[0] / sigmoid_end[-1] < 1000",
    ),
    ("the sigmoid's slope is 1/4 at most. That is why", "x.grad.max() <= 0.25"),
    (
        "Three numbers are summed over an epoch: loss, correct predictions, images.",
        "len(d2l.Accumulator(3).data) == 3",
    ),
    (
        "The mean of the means would count an image of the last batch more than twice as much.",
        "256 / 96 > 2",
    ),
    ("that is five times per epoch", "sum((i + 1) % (235 // 5) == 0 for i in range(235)) == 5"),
    ("3 // 5 is 0, and the remainder of a division by 0 is an error.", "3 // 5 == 0"),
    ("| `num_batches // 5` | `ZeroDivisionError` below five batches |", "4 // 5 == 0 < 5 // 5"),
    (
        "The weights are new, the biases are the trained ones",
        "all((not v.equal(before[n])) == n.endswith('weight') for n, v in trained.state_dict().items())",
    ),
    (
        "| `l * X.shape[0]` | from the batch's mean back to a sum |",
        "(lambda printed, expected: printed.startswith(expected))(*loss_of_unequal_batches())",
    ),
    ("each epoch starts its sums at 0", "d2l.Accumulator(3).data == [0.0] * 3"),
    ("Try ours on five batches, two epochs:", "len(few_batches) == 5 and len(curve) == 2 * 5"),
    ("the same start, the same five batches", "len(few_batches) == 5"),
    (
        "(Here it costs a little more than 100: the nine other classes share the probability, which adds ln 9 ≈ 2.2.)",
        "abs(nn.CrossEntropyLoss()(-100.0 * torch.eye(10), torch.arange(10)) - 100 - math.log(9)) < 1e-2 and round(math.log(9), 1) == 2.2",
    ),
    (
        r"All ten losses and all 61706 parameters agree to within $10^{-5}$.",
        "len(differences) == 10 and max(differences) < 1e-5",
    ),
    ("after the third of five batches", "len(few_batches) == 5"),
    ("called twice: new weights, old biases", "'1.bias' in before"),
    (
        "The loss began at 2.58, above ln 10, rose to almost 2.9 in the first batches, and came down to 2.30.",
        "not as_in_the_lesson or (round(run.train[0][1], 2) == 2.58 > math.log(10) and 2.83 < max(l for _, l, _ in run.train[:6]) < 2.9 "
        "and round(np.median([l for e, l, _ in run.train if 0.2 < e < 0.6]), 1) == 2.3)",
    ),
    (
        "it sat still for about an epoch, then dropped quickly, and then ever more slowly",
        "not as_in_the_lesson or (0.8 < plateau_end < 1.2 and losses[-1] < 1)",
    ),
    (
        "with the lesson's settings it falls again in the last epoch",
        "not as_in_the_lesson or run.test[-1][1] < run.test[-2][1]",
    ),
    (
        "print loss 0.469, train acc 0.823, test acc 0.779 for this network and these settings",
        "list(published.values()) == [0.469, 0.823, 0.779]",
    ),
    (
        "Close, in all three numbers.",
        "not as_in_the_lesson or all(abs(this_run[n] - published[n]) < 0.01 for n in published)",
    ),
    ("`make studies` has run this training with five seeds", "len(results) == 5"),
    (
        "over the five seeds it spans more than twice as much as the training accuracy (or the loss, in its own unit). One likely reason: those two",
        "five('test_acc') > 2 * max(five('loss'), five('train_acc'))",
    ),
    (
        "d2l's published values lie among ours",
        "all(results[n].min() <= v <= results[n].max() for n, v in published.items())",
    ),
    (
        "the run above has the numbers that the study wrote down for its seed",
        "not as_in_the_lesson or all(abs(results.loc[seed][n] - this_run[n]) < 0.003 for n in this_run)",
    ),
    (
        "The **plateau** ends when the loss first falls below, say, 2.2.",
        "[l for e, l in zip(epochs_3, losses) if e < plateau_end][2:] and "
        "min(l for e, l in zip(epochs_3, losses) if e < plateau_end) >= 2.2",
    ),
    (
        "All are equally frequent, 1/10 each, and that prediction costs ln 10.",
        "train_iter.dataset.labels.bincount().tolist() == [6000] * 10",
    ),
    (
        r"$$\sigma'(x) = \sigma(x)\,\bigl(1 - \sigma(x)\bigr) \le \tfrac14,$$",
        "x.grad.allclose(torch.sigmoid(x) * (1 - torch.sigmoid(x)), atol=1e-6) and x.grad.max() <= 0.25",
    ),
    (
        r"because a product $p(1-p)$ is largest at $p = \tfrac12$, where it is $\tfrac14$.",
        "max((p * (100 - p), p) for p in range(101)) == (2500, 50)",
    ),
    ("its slope is almost 0, and hardly any gradient passes", "x.grad[0] < 0.01 > x.grad[-1]"),
    ("But even at its best it passes on only a quarter.", "abs(x.grad.max() - 0.25) < 1e-3"),
    (
        r"a gradient passes four sigmoids, which together multiply it by at most $(1/4)^4 = 1/256$",
        "sum(isinstance(m, nn.Sigmoid) for m in net) == 4 and (1 / 4) ** 4 == 1 / 256",
    ),
    ("twenty times per epoch", "len(run.gradients) == 20 * num_epochs or run.stopped"),
    (
        "About forty times. It does not fall with every layer: from dense 1 to conv 1 the gradients are about equally small",
        "not as_in_the_lesson or (35 < on_plateau[-1] / on_plateau[0] < 46 and on_plateau[:3].max() < 1.3 * on_plateau[:3].min())",
    ),
    (
        "the early layers, which would have to tell a coat from a sandal, hardly move",
        "not as_in_the_lesson or on_plateau[:3].max() < on_plateau[-1] / 20",
    ),
    (
        "On the logarithmic scale its gradient climbs roughly in a straight line",
        "not as_in_the_lesson or torch.stack([torch.tensor(epochs), sizes[:, 0].log()])"
        "[:, torch.tensor(epochs) < plateau_end].corrcoef()[0, 1] > 0.9",
    ),
    (
        r"**ReLU**, $\max(0, x)$, has the slope 1 for every positive input.",
        "torch.autograd.grad(F.relu(t := torch.tensor([0.1, 5.0], requires_grad=True)).sum(), t)[0].tolist() == [1, 1]",
    ),
    ("the learning rate is 0.1, because", "relu_run.lr == 0.1"),
    (
        "No plateau: the signal arrives, and so do the gradients.",
        "relu_run.stopped or next(e for e, l, _ in relu_run.train if l < 2.2) < 0.1",
    ),
    (
        "After one epoch it classifies about 0.71 of the test images correctly; the sigmoid network was at about a third then.",
        "not as_in_the_lesson or relu_run.stopped or relu_run.lr_changes or (relu_run.test[0][0] == run.test[0][0] == 1 "
        "and abs(relu_run.test[0][1] - 0.71) < 0.025 and 0.25 < run.test[0][1] < 0.42)",
    ),
    (
        "The study has trained the sigmoid network with a small learning rate, too: with 0.05 over ten epochs and three seeds,",
        "len(low_rate) == 3",
    ),
    (
        "After ten epochs it is still on the plateau, or has only just left it.",
        "min(low_rate) > 2.2",
    ),
    (
        "With four other seeds it lasts from 1.1 to 1.7 epochs, as chapter 5 measures it, with means of ten batches.",
        "[round(f(ends('sigmoid', 0.9)[1:]), 1) for f in (min, max)] == [1.1, 1.7] and len(ends('sigmoid', 0.9)) == 5",
    ),
    (
        "With 0.1, the rate of the ReLU run, the sigmoid network leaves the plateau after 5.2 to 7.4 epochs, the ReLU network after about 0.1 (five seeds each; chapter 5).",
        "[round(f(ends('sigmoid', 0.1)), 1) for f in (min, max)] == [5.2, 7.4] and {round(end, 1) for end in ends('ReLU', 0.1)} == {0.1} and len(ends('sigmoid', 0.1)) == len(ends('ReLU', 0.1)) == 5",
    ),
    (
        "(Of five seeds of ReLU with 0.9, four were still near 2.30 after two epochs.)",
        "ends('ReLU', 0.9).count(None) == 4 and len(ends('ReLU', 0.9)) == 5",
    ),
    (
        '| "50000 training images" | the file has 60000, and it trains on all |',
        "len(train_iter.dataset) == 60000",
    ),
    (
        "235 batches per epoch, the last of 96 images",
        "len(train_iter) == 235 and sizes_of(train_iter.dataset)[-1] == 96",
    ),
    (
        "`X` of shape (256, 1, 28, 28) with pixels from 0 to 1, and `y` with 256 labels",
        "X.shape == (256, 1, 28, 28) and y.shape == (256,)",
    ),
    ("Equal probabilities for ten classes cost ln 10, 2.30.", "round(math.log(10), 2) == 2.30"),
    ("a first step with 0.9 makes the loss larger", "loss_after(0.9) > loss_after(0.0)"),
    (
        r"draws weights of variance $2/(n_\text{in} + n_\text{out})$",
        "abs(weight_start.var() / (2 / 520) - 1) < 0.02",
    ),
    (
        "**One run** is one draw: over five seeds the loss spans 0.02 and the test accuracy 0.04",
        "0.015 < five('loss') < 0.025 and 0.035 < five('test_acc') < 0.045 and len(results) == 5",
    ),
    (
        "**The plateau** at 2.30",
        "not as_in_the_lesson or round(sorted(losses[20:150])[65], 1) == 2.3",
    ),
    (
        r"the probability 1/26, and the loss is minus its natural logarithm: $-\ln \tfrac{1}{26} = \ln 26$. "
        r"With ten classes it was $\ln 10 \approx 2.30$.",
        "loss(letters, torch.arange(4)).isclose(torch.tensor(26.0).log()) and round(math.log(10), 2) == 2.3",
    ),
    (
        r"$-\ln \frac{e^{o_y}}{\sum_j e^{o_j}} = \ln \sum_j e^{o_j} - o_y$",
        "F.cross_entropy(torch.arange(5.0), torch.tensor(2)).isclose("
        "torch.arange(5.0).exp().sum().log() - 2)",
    ),
    (
        "the largest exponential is $e^0 = 1$: nothing can overflow, and the sum is at least 1",
        "math.exp(0) == 1 and torch.randn(9).sub_(9).exp().max() >= 0",
    ),
    ("its inputs are sigmoid(0) = 0.5, not 0", "torch.sigmoid(torch.zeros(1)) == 0.5"),
    ("why the loss first sits at 2.30", "round(math.log(10), 2) == 2.30"),
    ("train LeNet on Fashion-MNIST for ten epochs", "num_epochs == 10"),
    ("**Fashion-MNIST**: ten kinds of clothing", "len(set(lenet.FASHION_LABELS)) == 10"),
    ("`X`, a few hundred images", "200 < batch_size < 500"),
    (
        r"$$w \leftarrow w - \text{lr} \cdot \frac{\partial l}{\partial w} .$$",
        "abs(stepped - (1 - 0.1 * 3)) < 1e-6",
    ),
]
UNCHECKED = {
    "The two are twins": "in the ways that follow",
    r"the logits $o_0, \dots, o_9$": "the names of the ten",
    r"A value in a layer is a sum over its $n_\text{in}$ inputs, $o = \sum_{i=1}^{n_\text{in}} w_i x_i$. With independent weights of mean 0 and variance $\sigma^2$, and independent inputs of mean 0 and variance $\gamma^2$,": "what the formula below, a claim, supposes",
    r"The spread stays what it was if $n_\text{in}\,\sigma^2 = 1$. In the backward pass, the same argument for the gradients asks for $n_\text{out}\,\sigma^2 = 1$. Unless $n_\text{in} = n_\text{out}$ both cannot hold at once": "follows from the formula above",
    "either to continue the training or to start over. Which of the two does it do?": "a question",
    "The lesson's last two lines of code start its training:": "quoted below it",
    "the first of them, which sets the two hyperparameters": "lr and num_epochs",
    "after a thousand coats in a row": "a manner of speaking",
    "Two things change. The first is": "the two are named in the text",
    "The second is `torch.no_grad()`": "counts what the text names",
    "| `d2l.Accumulator(2)` | two sums: correct predictions, all predictions |": "a line of code",
    "`xlim=[1, num_epochs]`": "a line of the lesson",
    "ReLU with a learning rate of 0.9, and the sigmoid with 0.1": "for the reader to try",
    "In the second batch these weights are no longer 0": "an argument, step by step",
    "treats filter 0 differently from filter 1": "a question",
    "and six filters see no more than one": "what the check of 3.4 trains and says",
    "(Measured once, with seed 0 on a CPU: over the goal after the fourth epoch.)": "as it says",
    "falls back to nothing within the five epochs": "the settings of the solution below",
    "the chart starts at 0": "a browser test looks at the chart",
    "`0.9,a 10` | `SyntaxError` | `0.9, 10`": "the lesson's typing mistake, compiled above",
}

"""The checkable sentences of chapter 5, each with what must be true in its kernel."""

SETUP = r"""
scaled = [scaled_lenet(factor) for factor in (1, 2, 3, 4)]
slopes_of_scaled = [sigmoid_slopes(n, X).mean().item() for n in scaled]
losses_of_scaled = [F.cross_entropy(n(X), y).item() for n in scaled]
grown = [b / a for a, b in zip(weight_sizes(new_net), weight_sizes(net))]
flatter = (sigmoid_slopes(new_net, X).prod(dim=0).median() / sigmoid_slopes(net, X).prod(dim=0).median()).item()
closer = fading(new_net) / fading(net)
delta_conv1 = deltas(net, X, y)[0]
net.zero_grad()
F.cross_entropy(net(X), y).backward()
outputs = lenet.activations(net, X)
p = outputs[12].softmax(dim=1)
delta_logits = (p - F.one_hot(y, 10)) / 256
delta_2 = (delta_logits @ net[12].weight * outputs[11] * (1 - outputs[11])).detach()
products_conv1 = delta_conv1[:, channel] * padded[:, 2:30, 2:30]
new_deltas = {name: deltas(each_net, X, y) for name, each_net in nets.items()}
fading_at = lambda name, place: (
    size(new_deltas[name][place - 2]) / size(new_deltas[name][place - 1]))  # behind / in front
zeros = {name: (lenet.activations(nets[name], X)[11] == 0).float().mean().item() for name in nets}
decades = {
    name: [new_deltas[name][place].abs().clamp(min=1e-30).log10().median().item()
           for place in (10, 8, 4, 1)]
    for name in ("sigmoid", "tanh")
}
shirt_logits = net(train_images[[index]][0]).detach()[0]
trained_relus = [train_relu(lr) for lr in (0.1, 0.9)]
rows_dead = [dead_units(nets["ReLU"]), *[[*dead_units(n), loss] for n, loss in trained_relus]]
def dead_in_dense(n):
    return [(lenet.activations(n, X)[place] == 0).all(dim=0) for place in (9, 11)]
dead_dense = [dead_in_dense(n) for n in (nets["ReLU"], trained_relus[0][0])]
ends_of = {
    name: ends(activation=name, lr=0.1).tolist()
    for name in ("sigmoid", "sigmoid - 1/2", "4 sigmoid", "4 sigmoid - 2", "tanh", "ReLU")
}
centred = [b / a for a, b in zip(ends_of["sigmoid"], ends_of["sigmoid - 1/2"])]
steep = [b / a for a, b in zip(ends_of["sigmoid"], ends_of["4 sigmoid"])]
by_data = {
    (data, scaled): ends(data=data, scaled_to=scaled)
    for data in ("FashionMNIST", "MNIST") for scaled in ("", "pixels", "class means")
}
def one_step(w1, w2, lr):
    return w1 + lr * (1 - w1 * w2) * w2, w2 + lr * (1 - w1 * w2) * w1
def descended(which, lr, momentum):
    return descent.descend(surfaces[which], surfaces[which].start, lr, momentum, 100)
def way_down(lr, momentum):
    losses, grid = descended(3, lr, momentum).losses, descent._raster(surfaces[3], 41)
    return ((losses[0] - losses[-1]) / (losses[0] - surfaces[3].loss(grid).min())).item()
path_ends = [torch.tensor(surfaces[3].trained[i]) for i in (0, -1)]
straight = torch.stack([path_ends[0].lerp(path_ends[1], share / 8) for share in range(9)])
sigmoid_at = lambda value: 1 / (1 + math.exp(-value))
"""

CLAIMS = [
    # One weight
    (
        r"$$z = w_1 x, \qquad h = \sigma(z), \qquad o = w_2 h, \qquad l = (o - t)^2 .$$",
        "z == w1 * x and h == sigmoid_at(z) and abs((w2 * h - t) ** 2 - 0.5701) < 1e-4",
    ),
    (
        r"$$\frac{\partial l}{\partial w_1} = \frac{\partial l}{\partial o} \cdot "
        r"\frac{\partial o}{\partial h} \cdot \frac{\partial h}{\partial z} \cdot "
        r"\frac{\partial z}{\partial w_1} = 2(o - t) \cdot w_2 \cdot h(1 - h) \cdot x .$$",
        "abs(2 * (w2 * h - t) * w2 * h * (1 - h) * x "
        "- finite_difference(lambda w: (w2 * sigmoid_at(w * x) - t) ** 2, w1, 1e-5)) < 1e-8",
    ),
    (
        "How does the loss change when $w_1$ changes a little? The change travels along the same four steps.",
        "abs(dl_do * do_dh * dh_dz * dz_dw1 - dl_dw1) < 1e-12",
    ),
    (
        "Which of the four slopes are negative here? Will a larger $w_1$ make the loss larger or smaller?",
        "[s < 0 for s in (dl_do, do_dh, dh_dz, dz_dw1)] == [True, False, False, False]",
    ),
    (
        "The product is negative too, and a larger $w_1$ makes the loss smaller.",
        "dl_dw1 < 0 and tiny_loss(torch.tensor(w1 + 0.01)) < tiny_loss(torch.tensor(w1))",
    ),
    ("One slope is negative, the loss's own", "dl_do < 0 < min(do_dh, dh_dz, dz_dw1)"),
    ("the output lies below its target", "w2 * h < t"),
    (
        "Three of the slopes need a value from the forward pass ($o$, $h$ and the input $x$).",
        "dl_do == 2 * (w2 * h - t) and dh_dz == h * (1 - h) and dz_dw1 == x",
    ),
    (
        r"$$\frac{\partial l}{\partial w} \approx "
        r"\frac{l(w + \varepsilon) - l(w - \varepsilon)}{2 \varepsilon} .$$",
        "abs(finite_difference(lambda v: v**3, 2.0, 1e-3) - 12) < 1e-5",
    ),
    (
        "Which step gives the most accurate slope: 1, a hundredth, or a millionth? PyTorch's numbers "
        "have about seven digits (`float32`).",
        "6 < -math.log10(torch.finfo(torch.float32).eps) < 7.5",
    ),
    (
        "The one in the middle.",
        "errors['torch.float32'][2] < min(errors['torch.float32'][0], errors['torch.float32'][6])",
    ),
    (
        "With a long step the curve's bend changes between the two points, and that is the error. In `float64`, from a step of 0.1 on, a step ten times shorter makes it about a hundred times smaller",
        "all(80 < a / b < 120 for a, b in zip(errors['torch.float64'][1:3], "
        "errors['torch.float64'][2:4]))",
    ),
    (
        "With a very short step we subtract two nearly equal numbers, and what is left of their seven digits is mostly rounding error.",
        "errors['torch.float32'][6] > 100 * errors['torch.float32'][2]",
    ),
    (
        "With `float64` the turn comes later, and the smallest error is about two million times smaller than the smallest one with `float32`.",
        "5e5 < min(errors['torch.float32']) / min(errors['torch.float64']) < 8e6 and "
        "errors['torch.float64'].index(min(errors['torch.float64'])) > "
        "errors['torch.float32'].index(min(errors['torch.float32']))",
    ),
    (
        "Two forward passes for each of 61706 parameters, or one backward pass with less than "
        "twice the multiplications of a forward pass.",
        "num_parameters == 61706 and forward < backward < 2 * forward",
    ),
    (
        "the first layer's inputs are pixels, and nobody asks for their gradient",
        "backward == 2 * forward - 117600 and not X.requires_grad",
    ),
    # More than once
    ("What is the gradient of a weight that is used twice?", "weight.grad.item() == 2 + 3"),
    ("By 2 along one way and by 3 along the other: 5.", "weight.grad.item() == 5"),
    (
        "**Along a path slopes multiply, and over all paths they add.** These two rules",
        "weight.grad.item() == 2 + 3 != 2 * 3",
    ),
    # Softmax
    (
        r"LeNet's chain ends in ten logits $o_0, \dots, o_9$",
        "outputs[12].shape == (256, 10)",
    ),
    (
        r"$$p_k = \frac{e^{o_k}}{\sum_j e^{o_j}}, \qquad l = -\ln p_y = -o_y + \ln \sum_j e^{o_j} .$$",
        "torch.allclose(shirt_logits.exp() / shirt_logits.exp().sum(), shirt_logits.softmax(0)) and "
        "torch.isclose(shirt_logits.exp().sum().log() - shirt_logits[shirt], "
        "F.cross_entropy(shirt_logits[None], torch.tensor([shirt])))",
    ),
    (
        "the first term gives $-1$ if $k$ is the target, and otherwise 0",
        "F.one_hot(y, 10).sum(dim=1).unique().tolist() == [1]",
    ),
    (
        r"(1 for the right class, 0 for the others) all ten together are $$\frac{\partial l}"
        r"{\partial \mathbf o} = \mathbf p - \mathbf y .$$",
        "torch.allclose(torch.func.grad(lambda o: F.cross_entropy(o, y))(outputs[12]), "
        "delta_logits, atol=1e-8)",
    ),
    (
        "One is negative, the target's: its logit has to rise.",
        "((delta_logits < 0).sum(dim=1) == 1).all() and (delta_logits.argmin(dim=1) == y).all()",
    ),
    ("Together they add up to 0", "delta_logits.sum(dim=1).abs().max() < 1e-7"),
    (
        "Adding the same number to all logits changes nothing: only the differences between them count.",
        "torch.allclose((shirt_logits + 1).softmax(0), shirt_logits.softmax(0), atol=1e-6)",
    ),
    (
        "Doubling all of them makes the largest probability larger, whether it is the right one or not.",
        "((2 * outputs[12]).softmax(1).amax(1) >= p.amax(1)).all()",
    ),
    (
        "no entry leaves the range from $-1$ to 1. Where the network is wrong and confident, target "
        "and prediction get almost the full $-1$ and 1; where it is right and confident, all ten "
        "are almost 0",
        "torch.func.grad(lambda o: F.cross_entropy(o[None], torch.tensor([0])))(torch.tensor("
        "[0.0, 12.0])).round(decimals=3).tolist() == [-1, 1] and torch.func.grad(lambda o: "
        "F.cross_entropy(o[None], torch.tensor([1])))(torch.tensor([0.0, 12.0])).abs().max() < 1e-3",
    ),
    # Through LeNet
    (
        "At the logits it is $\\mathbf p - \\mathbf y$ for each image, divided by 256, because the loss is the mean over the batch",
        "torch.allclose(delta_logits * 256, p - F.one_hot(y, 10))",
    ),
    (
        r"Each logit is a sum, $o_k = b_k + \sum_j W_{kj} h_j$, with $h$ the 84 values that come "
        "out of dense 2's sigmoid.",
        "torch.allclose(net[12].bias + outputs[11] @ net[12].weight.T, outputs[12], atol=1e-5) and "
        "outputs[11].shape[1] == 84",
    ),
    (
        r"$$\frac{\partial l}{\partial W_{kj}} = \sum_{\text{images}} \delta_k \, h_j .$$",
        "torch.allclose(delta_logits.T @ outputs[11], net[12].weight.grad, atol=1e-7)",
    ),
    (
        "How many products are added up for one weight of dense 3?",
        "(delta_logits[:, 6] * outputs[11][:, 10]).numel() == 256",
    ),
    ("One for each image.", "len(X) == 256"),
    (
        "For the same sum in dense 1 we need the delta behind dense 1, so delta has to travel back from the logits through the layers in between. They are of two kinds:",
        "{type(layer).__name__ for layer in net[9:]} == {'Linear', 'Sigmoid'}",
    ),
    (
        "Each value has a path of its own, and the slope $h(1 - h)$",
        "torch.allclose(torch.func.vmap(torch.func.grad(torch.sigmoid))(torch.linspace(-3, 3, 7)), "
        "torch.sigmoid(torch.linspace(-3, 3, 7)) * (1 - torch.sigmoid(torch.linspace(-3, 3, 7))))",
    ),
    (
        "Two: that of dense 2 and its own.",
        "sum(isinstance(layer, nn.Sigmoid) for layer in net[9:]) == 2",
    ),
    (
        "nothing was computed twice: dense 2's delta serves all of that layer's 10080 weights",
        "net[10].weight.numel() == 10080 and "
        "torch.allclose(delta_2.T @ outputs[9], net[10].weight.grad, atol=1e-7)",
    ),
    (
        "Between dense 1 and conv 1 lie the flattening, two poolings, two sigmoids and a "
        "convolution. Two more kinds of layer:",
        "[type(layer).__name__ for layer in net[2:8]] == "
        "['Sigmoid', 'AvgPool2d', 'Conv2d', 'Sigmoid', 'AvgPool2d', 'Flatten']",
    ),
    (
        "gives a quarter of each of four values, so each of the four gets a quarter of delta",
        "torch.equal(back_through_pooling(torch.ones(1, 1, 1, 1)), torch.full((1, 1, 2, 2), 0.25))",
    ),
    (
        "That is a convolution again, with the kernel rotated by 180 degrees",
        "torch.allclose(F.conv_transpose2d(torch.eye(6)[None, None], net[4].weight[:1, :1]), F.conv2d("
        "F.pad(torch.eye(6), (4, 4, 4, 4))[None, None], net[4].weight[:1, :1].rot90(2, (2, 3))), "
        "atol=1e-6)",
    ),
    (
        "That is delta for every output value of conv 1.",
        "delta_conv1.shape == outputs[1].shape",
    ),
    (
        r"$$\frac{\partial l}{\partial K_{ij}} = \sum_{\text{images}} \sum_{r, s} \delta_{r, s} \, "
        r"X_{r + i,\, s + j} .$$",
        "all(abs((delta_conv1[:, 2] * padded[:, i : i + 28, j : j + 28]).sum() "
        "- net[1].weight.grad[2, 0, i, j]) < 1e-6 for i in range(5) for j in range(5))",
    ),
    (
        r"$256 \cdot 28 \cdot 28$ products in one number.",
        "products_conv1.numel() == 256 * 28 * 28",
    ),
    (
        "Where the pixel is 0, so is the product: there",
        "(products_conv1[padded[:, 2:30, 2:30] == 0] == 0).all()",
    ),
    (
        "all 25 kernel values of all six channels at once",
        "net[1].weight.shape == (6, 1, 5, 5)",
    ),
    ("The 150 gradients of conv 1's kernels", "net[1].weight.numel() == 150"),
    # Vanishing
    (
        "delta was multiplied by four sigmoid slopes. Chapter 3 said what that can cost: a slope is "
        r"at most 1/4, so the four together leave at most $(1/4)^4 = 1/256$",
        "sum(isinstance(layer, nn.Sigmoid) for layer in net) == 4 and sigmoid_at(0) * (1 - "
        "sigmoid_at(0)) == 1 / 4 and (1 / 4) ** 4 == 1 / 256",
    ),
    (
        "for each of the 256 images, the mean slope at each of the four sigmoids, and multiply the four means.",
        "sigmoid_slopes(net, X).shape == (4, 256)",
    ),
    (
        "In the new network the slopes are close to their limit, and the product to 1/256.",
        "sigmoid_slopes(new_net, X).mean(dim=1).min() > 0.22 and "
        "256 < (1 / sigmoid_slopes(new_net, X).prod(dim=0)).median() < 340",
    ),
    (
        "In the trained one the median is more than ten times smaller.",
        "sigmoid_slopes(net, X).prod(dim=0).median() * 10 < "
        "sigmoid_slopes(new_net, X).prod(dim=0).median()",
    ),
    (
        "its sums lie further from 0, and far from 0 a sigmoid is flat",
        "outputs[4].abs().mean() > lenet.activations(new_net, X)[4].abs().mean() and "
        "sigmoid_at(6) * (1 - sigmoid_at(6)) < 0.01",
    ),
    (
        "In a new network, with Xavier's weights: close to 1/256, or far below it?",
        "sigmoid_slopes(new_net, X).prod(dim=0).max() < 1 / 256",
    ),
    ("The other way round!", "fading(new_net) > 10 * fading(net)"),
    ("Slopes are only one half of the chain", "min(weight_sizes(net)) > 0"),
    (
        "All five have grown. (Conv 1's do not count here: delta at conv 1's output has not passed through them.) "
        "The growth of the other four more than makes up for the flatter sigmoids. Still, such averages explain only a part of the difference",
        "min(grown) > 1 and len(grown) == 5 and flatter < math.prod(grown[1:]) < "
        "flatter * closer / 5",
    ),
    (
        "At each of the two poolings all three fall to a quarter.",
        "all(abs(fading_at(name, place) - fading_at('sigmoid', place)) < 1e-4 for name in nets "
        "for place in (3, 6)) and abs(fading_at('tanh', 3) - 0.25) < 1e-4",
    ),
    (
        "a sigmoid leaves a quarter or less each time",
        "all(fading_at('sigmoid', place) < 0.2501 for place in (2, 5, 9, 11))",
    ),
    (
        "tanh nearly everything near 0, where its slope is 1",
        "all(fading_at('tanh', place) > 0.7 for place in (2, 5, 9, 11))",
    ),
    (
        "what comes out behind the four activations, for the 256 images",
        "[lenet.activations(net, X)[place].shape[0] for place in ACTIVATED.values()] == [256] * 4",
    ),
    (
        "Sigmoids gather around 1/2, tanh's values around 0; ReLU gives an exact 0 most often.",
        "abs(lenet.activations(nets['sigmoid'], X)[9].mean() - 0.5) < 0.1 and "
        "abs(lenet.activations(nets['tanh'], X)[9].mean()) < 0.1 and "
        "zeros['ReLU'] > 0.3 and zeros['sigmoid'] == zeros['tanh'] == 0",
    ),
    (
        "Now the gradients that come back to the same four places. They differ by powers of ten",
        "decades['sigmoid'][0] - decades['sigmoid'][3] > 2",
    ),
    (
        "Four hills, each a layer. For the sigmoid each lies a power of ten or so further to the "
        "left than the one after it; for tanh and ReLU they overlap. One learning rate has to "
        "serve all four.",
        "all(0.4 < a - b < 2 for a, b in zip(decades['sigmoid'], decades['sigmoid'][1:])) and "
        "decades['tanh'][0] - decades['tanh'][3] < decades['sigmoid'][0] - decades['sigmoid'][3] - 1",
    ),
    (
        "ReLU has a slope of 0 for every negative sum.",
        "torch.func.grad(torch.relu)(torch.tensor(-0.1)) == 0",
    ),
    (
        "A new network has some: whole regions of three of conv 1's maps",
        "((lenet.activations(nets['ReLU'], X)[2] == 0).all(dim=0).float().mean(dim=(1, 2)) > 0.1).sum() == 3",
    ),
    (
        "The table counts a unit as dead if all of our 256 images leave it at 0",
        "len(X) == 256",
    ),
    (
        "With 0.1 most dead units of the dense layers have come back to life after 60 batches.",
        "all((revived := was & ~is_now).sum() > was.sum() / 2 for was, is_now in zip(*dead_dense))",
    ),
    (
        r"the loss stays at $\ln 10 \approx 2.30$",
        "abs(math.log(10) - 2.30) < 0.005 and abs(rows_dead[2][4] - math.log(10)) < 0.05",
    ),
    # The plateau
    (
        r"Take a chain of only two weights, $l = \tfrac12 (1 - w_1 w_2)^2$",
        "chain(0.5, 2, num_steps=1) == [0.25]",
    ),
    (
        r"The gradient for $w_1$ is $-(1 - w_1 w_2)\, w_2$, so near 0 a step of gradient descent "
        r"adds $\text{lr} \cdot w_2$ to $w_1$ and $\text{lr} \cdot w_1$ to $w_2$: each is "
        r"multiplied by $1 + \text{lr}$",
        "torch.isclose(torch.func.grad(lambda a: (1 - a * 0.3) ** 2 / 2)(torch.tensor(0.2)), "
        "torch.tensor(-(1 - 0.2 * 0.3) * 0.3)) and abs(one_step(1e-4, 1e-4, 0.1)[0] / 1e-4 - 1.1) < 1e-6",
    ),
    (
        "The point 0, where the gradient is 0 although the loss is not at its lowest",
        "one_step(0.0, 0.0, 0.1) == (0.0, 0.0)",
    ),
    (
        r"Not ten times as many, but 24 more each time: the factor 10 takes $\ln 10 / \ln 1.1 "
        r"\approx 24$ steps.",
        "[steps_to_half(chain(s, 2)) for s in (0.1, 0.01, 0.001)] == [20, 44, 68] and "
        "round(math.log(10) / math.log(1.1)) == 24",
    ),
    (
        "LeNet has five layers with weights in a chain, not two.",
        "sum(hasattr(layer, 'weight') for layer in net) == 5",
    ),
    (
        "With two weights the line is straight until the drop. With five it bends upwards: "
        "near 0 a weight's gradient is, up to its sign, the product of the *four others*",
        "(two := chain(0.05, 2)) and (five := chain(0.4, 5)) and "
        "0.95 < (two[10] / two[5]) / (two[5] / two[0]) < 1.05 and "
        "five[40] / five[20] > 1.5 * five[20] / five[0]",
    ),
    (
        "Every five batches a callback measures two things: the **signal**, how far apart the "
        "logits of different images lie (the standard deviation over our 256 images)",
        "abs((watched.epoch[1] - watched.epoch[0]) * 235 - 5) < 1e-6 and len(X) == 256",
    ),
    (
        "After the first tenth of an epoch both climb",
        "watched.signal[40] > 20 * watched.signal[5] and watched.gradient[40] > 3 * watched.gradient[5]",
    ),
    (
        "A factor each time, and the signal's rises, as in the chain of five; the gradient's is too noisy to say.",
        "growth('signal', 0.1, 0.3) < growth('signal', 0.3, 0.5) < growth('signal', 0.5, 0.7) and not "
        "growth('gradient', 0.1, 0.3) < growth('gradient', 0.3, 0.5) < growth('gradient', 0.5, 0.7)",
    ),
    (
        "five seeds each, and the plateau ends when the mean loss of ten batches is below 2.2",
        "all(len(ends(factor=factor)) == 5 for factor in (1, 2, 3, 4))",
    ),
    (
        "Twice Xavier's weights are best on average, though their seeds overlap with those of three times; the signal begins about twenty times higher.",
        "ends(factor=2).max() > ends(factor=3).min() and ends(factor=2).mean() == min(ends(factor=f).mean() for f in (1, 2, 3, 4)) and 15 < "
        "scaled_lenet(2)(X).std(dim=0).mean() / scaled_lenet(1)(X).std(dim=0).mean() < 25",
    ),
    (
        "More is not better still: the slopes get smaller, and the loss begins higher.",
        "ends(factor=4).mean() > ends(factor=3).mean() > ends(factor=2).mean()"
        " and sorted(slopes_of_scaled, reverse=True) == slopes_of_scaled"
        " and sorted(losses_of_scaled) == losses_of_scaled",
    ),
    ("After 20 batches nearly all of the head start is lost.", "after < 0.05 * before"),
    (
        "its slope of 1/4, or that its values lie around 1/2 instead of 0?",
        "sigmoid_at(0) == 1 / 2",
    ),
    (
        r"$\sigma(x) - \tfrac12$ is centred; $4\sigma(x)$ has the slope 1 at 0; $4\sigma(x) - 2$ "
        r"has both, and is $2 \tanh(x/2)$ by another name.",
        "sigmoid_at(0) - 1 / 2 == 0 and abs(finite_difference(lambda v: 4 * sigmoid_at(v), 0.0, 1e-4) "
        "- 1) < 1e-6 and abs(4 * sigmoid_at(0.7) - 2 - 2 * math.tanh(0.35)) < 1e-12",
    ),
    (
        "The learning rate is 0.1 for all; with 0.9 tanh was thrown off with every seed, and ReLU with four of five.",
        "ends(activation='tanh', lr=0.9).isna().all() and ends(activation='ReLU', lr=0.9).isna().sum() "
        "== 4 and all(len(found) == 5 for found in ends_of.values())",
    ),
    ("Order the six by the length of their plateau.", "len(ends_of) == 6"),
    (
        "In four seeds of five, centring alone shortens it by a tenth to a fifth, and the slope alone "
        "by a third or more. One seed is left over each time: with centring it was still on its plateau "
        "after six epochs, where the study stops; with the slope it stayed there longer than with the "
        "plain sigmoid.",
        "sum(ratio <= 2 / 3 for ratio in steep) == 4 == sum(0.75 < r <= 0.92 for r in centred) and "
        "min(a for a, r in zip(ends_of['sigmoid'], steep) if math.isnan(r)) < 6 and "
        "all(sum(math.isnan(r) for r in ratios) == 1 for ratios in (steep, centred)) and "
        "set(study[study.activation.isin(['sigmoid - 1/2', '4 sigmoid']) & (study.lr == 0.1)]"
        ".most_epochs) == {6}",
    ),
    (
        "Together they do away with it (ten batches are 0.04 epochs, the least that the study can see).",
        "round(10 / 235, 2) == 0.04 and max(ends_of['4 sigmoid - 2']) < 0.06",
    ),
    (
        "ReLU, which has slope 1 above 0 and is not centred, is nearly as fast here.",
        "max(ends_of['ReLU']) < 0.15",
    ),
    (
        "There are two spreads that one may mean: that of all **pixels**, and that of the ten "
        "**class means**",
        "[sorted(s) for s in spreads.values()] == [['class means', 'pixels']] * 2",
    ),
    (
        "Which of the two scalings changes more?",
        "by_data['MNIST', 'class means'].mean() < by_data['MNIST', 'pixels'].mean()",
    ),
    (
        "Multiplying digits by 1.146, or dividing clothes by it, gives each the other's spread of "
        "pixels, and moves both a little the way it should; the factor 1.585, to that of the class means, moves them much more, as a larger factor must",
        "{s for s in study.scale if s > 1} == {1.146, 1.585} and "
        "by_data['MNIST', ''].mean() > by_data['MNIST', 'pixels'].mean() > "
        "by_data['MNIST', 'class means'].mean() and by_data['FashionMNIST', ''].mean() < "
        "by_data['FashionMNIST', 'pixels'].mean() < by_data['FashionMNIST', 'class means'].mean()",
    ),
    (
        "digits scaled to the class means of clothes still take longer than clothes, and clothes "
        "scaled to those of digits are, seed by seed, still faster than digits",
        "by_data['MNIST', 'class means'].min() > by_data['FashionMNIST', ''].max() and "
        "all(a < b for a, b in zip(by_data['FashionMNIST', 'class means'], by_data['MNIST', '']))",
    ),
    # Steps
    (
        r"the simplest valley, $l = \tfrac{c}{2} w^2$. Its gradient is $c\,w$, and a step turns $w$ "
        r"into $$w - \text{lr} \cdot c\,w = (1 - \text{lr} \cdot c)\, w .$$",
        "torch.func.grad(lambda w: 20 / 2 * w**2)(torch.tensor(3.0)) == 60 and "
        "abs(walk(0.01, 20, num_steps=1) - (1 - 0.01 * 20)) < 1e-12",
    ),
    ("With the curvature $c = 20$", "walk(0.01, num_steps=1) == walk(0.01, 20, num_steps=1)"),
    (
        "With 0.05, which is $1/c$, it is there in one step.",
        "0.05 == 1 / 20 and walk(0.05, num_steps=1) == 0",
    ),
    (
        "With 0.09 it jumps from one side to the other, a little closer each time; with 0.11 a "
        "little further each time. The limit is $2/c = 0.1$.",
        "walk(0.09, num_steps=1) < 0 < walk(0.09, num_steps=2) < 1 and 2 / 20 == 0.1 and "
        "abs(walk(0.0999)) < 1 < abs(walk(0.1001))",
    ),
    (
        r"$$v \leftarrow \mu v + \nabla l, \qquad w \leftarrow w - \text{lr} \cdot v .$$",
        "(optimizer := torch.optim.SGD([q := torch.ones(1, requires_grad=True)], 0.03, momentum=0.7)) "
        "and [((10 * q**2).sum().backward(), optimizer.step(), optimizer.zero_grad()) for _ in range(3)]"
        " and abs(q.item() - walk(0.03, 20, 0.7, 3)) < 1e-5",
    ),
    (
        "Along, momentum has gone much further with the same learning rate.",
        "abs(walk(0.03, 1, 0.7)) < 0.1 * abs(walk(0.03, 1, 0.0))",
    ),
    ("Across, both are nearly there.", "max(abs(walk(0.03, 20, m)) for m in (0.0, 0.7)) < 0.01"),
    (
        "Four surfaces to try it on: the valley, the smallest plateau from above, and two of LeNet "
        "itself, the loss along one weight of conv 1",
        "len(surfaces) == 4",
    ),
    (
        r"with $\mu$ the limit is $2(1 + \mu)/c$",
        "all(abs(walk(0.99 * 2 * (1 + m) / 20, momentum=m, num_steps=3000)) < 1 <"
        " abs(walk(1.01 * 2 * (1 + m) / 20, momentum=m, num_steps=3000)) for m in (0.5, 0.7, 0.9))",
    ),
    (
        "On the small plateau it is 2, with momentum 0.9 between 1 and 1.5;",
        "[descended(1, *s).jumped_out for s in ((1.9, 0), (2.1, 0), (1, 0.9), (1.5, 0.9))]"
        " == [False, True, False, True]",
    ),
    (
        "on LeNet's one weight 200 still comes down and 500 jumps out; with momentum 0.9, 3 comes down"
        " and 6 jumps out.",
        "[descended(2, *s).jumped_out for s in ((200, 0), (500, 0), (3, 0.9), (6, 0.9))]"
        " == [False, True, False, True]",
    ),
    (
        "by epoch 0.87 it has fallen by only 0.05",
        "abs(watched.loss[(watched.epoch - 0.234).abs().idxmin()]"
        " - watched.loss[(watched.epoch - 0.872).abs().idxmin()] - 0.05) < 0.01",
    ),
    (
        "At the layers with weights they fall less, and nearly alike for all three.",
        "all(max(f) < 4 and max(f) / min(f) < 1.5 for f in ([fading_at(n, place) for n in nets]"
        " for place in (4, 8, 10, 12)))",
    ),
    (
        "In the valley the limit is 0.1, where $2/c$ puts it; momentum 0.9 raises it to 0.19.",
        "descended(0, 0.101, 0).losses[-1] > descended(0, 0.099, 0).losses[-1] * 2 and "
        "abs(walk(0.189, momentum=0.9, num_steps=3000)) < 1 < abs(walk(0.191, momentum=0.9, num_steps=3000))",
    ),
    (
        "On LeNet's plane 0.9 comes down, but in 100 steps not two thirds of the way; with momentum 0.9 it gets nearly to the bottom.",
        "0.5 < way_down(0.9, 0) < 2 / 3 and way_down(0.9, 0.9) > 0.9",
    ),
    (
        "The plane is flat: without momentum 60 still comes down, and 100 jumps out; with momentum 0.9, 10 is too much already.",
        "[descended(3, *s).jumped_out for s in ((60, 0), (100, 0), (10, 0.9))] == [False, True, True] and way_down(60, 0) > 0.9",
    ),
    (
        "It is curved, although the loss falls all along the straight line between its ends.",
        "bool((surfaces[3].loss(straight).diff() < 0).all())",
    ),
    (
        "What does momentum 0.9 change? On LeNet's plane: does the lesson's 0.9 creep, come down "
        "or jump out in 100 steps?",
        "descent.verdict(surfaces[3], descended(3, 0.9, 0)).startswith('comes down')",
    ),
    # Summary
    (
        "a convolution convolves with its kernel rotated by 180 degrees",
        "torch.allclose(F.conv_transpose2d(torch.eye(6)[None, None], net[1].weight[:1]), F.conv2d("
        "F.pad(torch.eye(6), (4, 4, 4, 4))[None, None], net[1].weight[:1].rot90(2, (2, 3))), atol=1e-6)",
    ),
    (
        "and it all begins with $p - y$",
        "torch.allclose(delta_logits * 256, p - F.one_hot(y, 10))",
    ),
    (
        "**The learning rate** has its limit at 2 over the largest curvature",
        "abs(walk(1.99 / 20)) < 1 < abs(walk(2.01 / 20))",
    ),
    (
        "centred activations with slope 1 and a stronger signal shorten it",
        "max(ends_of['tanh']) < min(ends_of['sigmoid'])",
    ),
]

UNCHECKED = {
    "divide the difference between the two losses by the distance between the two weights": "the two that are named",
    "backpropagation applies them from back to front, so that nothing is computed twice": "said of its order",
    "(A bias is multiplied by 1, so its gradient is the sum of delta": "the derivative of x + b",
    "tanh, which the network of 1998 used, has both by nature": "a fact of history; chapter 7 has the network",
}

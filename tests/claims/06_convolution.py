"""What chapter 6 says, and what must hold for it to be true."""

SETUP = """
plain_linear = plain[plain.network == "linear"].val_acc
lesson_runs = pd.DataFrame(steps["the lesson's network"]).test_acc
gap = {
    d: (means_.loc[(d, "LeNet")] - means_.loc[(d, "MLP")])
    for means_ in [better.groupby(["dataset", "network"]).val_acc.mean()]
    for d in DATASETS
}
spread = better.groupby(["dataset", "network"]).val_acc.agg(lambda v: v.max() - v.min()).max()
by_setting = search.groupby(["pool", "lr"]).val_acc
signs = (means.test_acc - means.val_acc).unstack()
shuffled_means = shuffled.groupby(["dataset", "network"]).val_acc.mean()
plain_means = better.groupby(["dataset", "network"]).val_acc.mean()
attacked_at = lambda e: accuracy_of(fgsm(net, X_first, y_first, e))
covered_class = {}
for i in indices:
    image, _ = test_images[[i]]
    p = cover_everywhere(net, image)
    c = lenet.predict(net, image).argmax()
    place = divmod(p[..., c].argmin().item(), 28)
    covered_class[lenet.FASHION_LABELS[c]] = (lenet.FASHION_LABELS[p[place].argmax()], place, image)
"""

CLAIMS = [
    (
        "Over five seeds chapter 3 ended with test accuracies from 0.77 to 0.81.",
        "len(lesson_runs) == 5 and round(lesson_runs.min(), 2) == 0.77"
        " and round(lesson_runs.max(), 2) == 0.81",
    ),
    (
        "each of the ten logits is a weighted sum of the 784 pixels",
        "linear[1].weight.shape == (10, 784)",
    ),
    (
        "An eighth of LeNet's 61706 parameters.",
        "sum(p.numel() for p in lenet.make_lenet().parameters()) == 61706"
        " and 7.5 < 61706 / 7850 < 8.5",
    ),
    (
        "More than any of the lesson's five runs, in half as many epochs.",
        "lenet.evaluate_accuracy_gpu(linear, val_iter) > lesson_runs.max()",
    ),
    (
        "No run of the lesson's LeNet reaches the worst of the linear layer, an eighth of its"
        " size.",
        "lesson_runs.max() < plain_linear.min()",
    ),
    (
        "Maximum pooling with a peak rate of 0.1 has the best mean. With 0.2 two seeds of three did"
        " better still, and the third never learned: its accuracy is that of guessing. With 0.5"
        " none learned.",
        '(pool, lr) == ("max", 0.1) and (by_setting.get_group(("max", 0.2)) >'
        ' by_setting.get_group(("max", 0.1)).max()).sum() == 2'
        ' and by_setting.get_group(("max", 0.2)).min() < 0.11'
        " and search[search.lr == 0.5].val_acc.max() < 0.11",
    ),
    (
        "LeNet leads on both data sets, and the seeds lie far closer together than the networks.",
        "min(gap.values()) > 0 and spread < min(gap.values()) / 2",
    ),
    (
        "about 0.015 on clothes, 0.018 on digits",
        "abs(gap['FashionMNIST'] - 0.015) < 0.0005 and abs(gap['MNIST'] - 0.018) < 0.0005",
    ),
    (
        "gained over 0.1 on clothes, in half of the lesson's epochs",
        "plain_means['FashionMNIST', 'LeNet'] - lesson_runs.mean() > 0.1",
    ),
    (
        "Conv 1 makes 6 × 28 × 28 values out of 28 × 28 pixels, with 156 parameters.",
        "sum(p.numel() for p in conv.parameters()) == 156 and conv(X[:1]).shape == (1, 6, 28, 28)",
    ),
    (
        "Exactly: the difference is 0 in all columns but those near the edges",
        "(difference.abs().amax(dim=(0, 1, 2))[5:26] == 0).all()",
    ),
    (
        "one permutation of the 784 pixels, the same for every image",
        "permutation.sort().values.equal(torch.arange(784))",
    ),
    ("None, but for rounding.", "True  # the cell above shows it"),
    (
        "Five of six; the linear layer on clothes is a hair outside.",
        "means.inside.sum() == 5 and not means.inside['FashionMNIST', 'linear']",
    ),
    (
        "on clothes *every* network does worse on the test images than forecast, on digits every"
        " one better",
        "(signs.loc['FashionMNIST'] < 0).all() and (signs.loc['MNIST'] > 0).all()",
    ),
    (
        "their order is the same on both sets",
        "all(means.loc[d].val_acc.rank().equals(means.loc[d].test_acc.rank()) for d in DATASETS)",
    ),
    (
        "It has seen them nearly five hundred times each",
        "450 < 5 * 50000 / 500 <= 500",
    ),
    (
        "The other's logits are four times too large.",
        "3.5 < small_temperature < 4.5",
    ),
    (
        "Divided by 4.33 they leave an error of 0.011 in place of 0.179",
        "abs(calibration_error(*logits_of(small_net, test_images)) - 0.179) < 0.0005 and"
        " abs(calibration_error(logits_of(small_net, test_images)[0] / small_temperature,"
        " test_images.labels.long()) - 0.011) < 0.0005",
    ),
    (
        "The network of 50000 images needs no mending: $T$ is 0.98",
        "abs(temperature - 0.98) < 0.005",
    ),
    (
        "at 0.99 more than half of the clothes are lost, and 15 % of the digits are still there",
        "(confidences['clothes'] > 0.99).float().mean() < 0.5"
        " and 0.145 < (confidences['digits'] > 0.99).float().mean() < 0.155",
    ),
    (
        "above the toe, where the image is empty",
        "all((image[0, 0, place[0], place[1]] < 0.05).item() and place[1] < 14"
        " for name in ('ankle boot', 'sneaker')"
        " for _, place, image in [covered_class[name]])",
    ),
    (
        "the boot is a bag, and so is the sneaker",
        "covered_class['ankle boot'][0] == covered_class['sneaker'][0] == 'bag'",
    ),
    (
        "A patch beside the waist of the dress makes a t-shirt of it",
        "covered_class['dress'][0] == 't-shirt'",
    ),
    (
        "The trouser stays a trouser, wherever the patch is.",
        "(cover_everywhere(net, covered_class['trouser'][2]).argmax(dim=2) == 1).all()",
    ),
    (
        "With 0.05, a twentieth of the way from white to black",
        "epsilon == 1 / 20",
    ),
]

UNCHECKED = {
    "the plain SGD of chapter 3 and a learning rate of 0.1": "the study's settings",
}

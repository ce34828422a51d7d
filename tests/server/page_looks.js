// What is wrong with what is in sight, as a list of sentences; `page_looks.py` says what is asked of it.
({ touch, sideways, shortened }) => {
    const faults = [];
    const [wide, high] = [innerWidth, innerHeight];
    const root = document.querySelector("dialog[open]") ?? document.body;
    const drawer = root === document.body ? document.querySelector("#drawer:not([hidden])") : null;
    const named = (one) => one.id || one.dataset?.tool || one.name || one.className || one.tagName;
    const seen = (one) => {
        if (!one.checkVisibility({ visibilityProperty: true })) return false;
        for (let each = one; each; each = each.parentElement) {
            if (getComputedStyle(each).clipPath === "inset(50%)") return false; // for screen readers
        }
        return true;
    };
    const off = (one) => Boolean(one.closest(":disabled") || one.closest("label")?.querySelector("input:disabled"));

    const page = document.scrollingElement;
    if (page.scrollWidth > wide) faults.push(`the page is ${page.scrollWidth} pixels wide`);
    if (page.scrollHeight > high) faults.push(`the page is ${page.scrollHeight} pixels high`);
    if (visualViewport.scale !== 1) faults.push(`the page is shown at ${visualViewport.scale}`);

    // "" where all of a box is in sight, "away" where it is scrolled out of it, else what cuts it.
    const cut = (box, from) => {
        for (let one = from; one && one !== document.documentElement; one = one.parentElement) {
            const { overflowX: x, overflowY: y } = getComputedStyle(one);
            const frame = one.getBoundingClientRect();
            const left = box.left < frame.left - 1 || box.right > frame.right + 1;
            const above = box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
            if (left && x !== "visible") return one.matches(sideways) ? "away" : named(one);
            if (above && y !== "visible") return y === "auto" || y === "scroll" ? "away" : named(one);
        }
        const out = box.left < -0.5 || box.right > wide + 0.5 || box.top < -0.5 || box.bottom > high + 0.5;
        return out ? "the window" : "";
    };

    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const levels = new Map();
    const colour = (css) => {
        if (!levels.has(css)) {
            context.clearRect(0, 0, 1, 1);
            context.fillStyle = css;
            context.fillRect(0, 0, 1, 1);
            const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
            levels.set(css, [red, green, blue, alpha / 255]);
        }
        return levels.get(css);
    };
    const over = (top, under) => {
        const alpha = top[3] + under[3] * (1 - top[3]);
        const mixed = [0, 1, 2].map((c) => (alpha ? (top[c] * top[3] + under[c] * under[3] * (1 - top[3])) / alpha : 0));
        return [...mixed, alpha];
    };
    const behind = (one) => {
        let found = [0, 0, 0, 0];
        for (let each = one; each && found[3] < 1; each = each.parentElement) {
            found = over(found, colour(getComputedStyle(each).backgroundColor));
        }
        return found;
    };
    const light = (rgb) => {
        const [red, green, blue] = rgb.map((level) => {
            const share = level / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const contrast = (css, one) => {
        const ground = behind(one);
        const [a, b] = [light(over(colour(css), ground)), light(ground)];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    };
    const pale = (css, one, least, what) => {
        const ratio = contrast(css, one);
        if (ratio < least - 0.005) faults.push(`${what} has a contrast of ${ratio.toFixed(2)}`);
    };
    const least = ({ fontSize, fontWeight }) => (
        parseFloat(fontSize) >= 24 || (parseFloat(fontSize) >= 18.66 && fontWeight >= 700) ? 3 : 4.5);

    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
        const words = node.data.trim().replace(/\s+/g, " ");
        const one = node.parentElement;
        if (!words || one.closest("script, style, option, datalist, output:empty") || !seen(one)) continue;
        const style = getComputedStyle(one);
        if (parseFloat(style.fontSize) === 0) continue;
        const what = `"${words.slice(0, 60)}"`;
        if (!off(one)) pale(style.color, one, least(style), what);
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const box of range.getClientRects()) {
            if (!box.width) continue;
            const by = cut(box, one);
            if (by === "away") break;
            if (by) {
                if (!one.matches(shortened)) faults.push(`${what} is cut off by ${by}`);
                break;
            }
            const control = one.closest("button, .button, .chips label, summary");
            const frame = control?.getBoundingClientRect();
            if (frame && (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)) {
                faults.push(`${what} does not fit into its control`);
            }
            const hit = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
            if (!hit || hit.contains(one) || one.contains(hit) || drawer?.contains(hit)) continue;
            if (![...(hit.labels ?? [])].some((label) => label.contains(one))) faults.push(`${what} is covered by ${named(hit)}`);
        }
    }

    for (const one of root.querySelectorAll("select, input, textarea")) {
        if (!seen(one) || off(one) || one.matches("[type=range], [type=checkbox], [type=radio], [type=color], [type=file]")) continue;
        const empty = one.placeholder && !one.value;
        pale(getComputedStyle(one, empty ? "::placeholder" : null).color, one, 4.5, `the text of ${named(one)}`);
        if (one.tagName === "SELECT" || !one.value) continue;
        if (one.scrollWidth > one.clientWidth + 1) faults.push(`the text of ${named(one)} is cut off`);
    }
    for (const one of root.querySelectorAll("svg")) {
        if (seen(one) && !off(one)) pale(getComputedStyle(one).stroke, one, 3, `the icon of ${named(one.parentElement)}`);
    }
    const boxes = "button, input, select, canvas, section, dialog, figure, output, label, progress, header, footer, aside, main, summary";
    for (const one of root.querySelectorAll(boxes)) {
        if (!seen(one) || drawer?.contains(one)) continue;
        const box = one.getBoundingClientRect();
        if (box.left < -0.5 || box.right > wide + 0.5) {
            if (!one.closest(sideways)) faults.push(`${named(one)} reaches from ${box.left} to ${box.right}`);
        }
    }

    if (touch) {
        const pressed = "button, .button, select, summary, .chips label, .pick, .well, input";
        for (const one of root.querySelectorAll(pressed)) {
            if (!seen(one) || one.matches(":is(.chips, .pick, .well) input, [type=file]")) continue;
            const { width, height } = one.getBoundingClientRect();
            if (width < 43.99 || height < 43.99) faults.push(`${named(one)} is ${width} x ${height} pixels`);
        }
    }
    return [...new Set(faults)];
}

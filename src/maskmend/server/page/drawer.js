// The drawer over the picture with what is needed less often: tools that have no place in a phone's bar, the mask as a
// whole, the brush's pressure, history.

export class Drawer {
  // `shown` is called when it was opened or closed.
  constructor(drawer, button, { shown }) {
    this.drawer = drawer;
    this.button = button;
    this.shown = shown;
    button.addEventListener("click", () => this.toggle());
    drawer.querySelector("#drawer-close").addEventListener("click", () => this.toggle(false));
    drawer.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation(); // it is no fill that is to be stopped
      this.toggle(false);
    });
    // On a phone it lies over the picture: whoever takes a tool there wants to use it.
    for (const tool of drawer.querySelectorAll("[data-tool]")) tool.addEventListener("click", () => this.toggle(false));
  }

  get open() {
    return !this.drawer.hidden;
  }

  // How much of the picture's place it covers from below, as on a phone, where enough is left above it; else 0.
  get cover() {
    const { drawer, open } = this;
    const { clientWidth, clientHeight } = drawer.parentElement;
    return open && drawer.offsetWidth > clientWidth - 16 && drawer.offsetTop > 120 ? clientHeight - drawer.offsetTop : 0;
  }

  toggle(open = !this.open) {
    this.drawer.hidden = !open;
    this.button.setAttribute("aria-expanded", open);
    if (open) this.drawer.querySelector("#drawer-close").focus({ preventScroll: true });
    else this.button.focus({ preventScroll: true });
    this.shown();
  }
}

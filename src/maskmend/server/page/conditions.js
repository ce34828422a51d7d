// What is to be drawn, in words: a class, a prompt, and how far they count, each where the model has it.

export class Conditions {
  constructor(card) {
    this.card = card;
    this.model = null;
    this.card.addEventListener("input", () => this.told());
    this.card.addEventListener("keydown", ({ key }) => {
      if (key === "Enter" && !document.body.classList.contains("filling")) document.getElementById("fill").click();
    });
  }

  get guidance() {
    return this.card.querySelector("#guidance");
  }

  // `model` as /v1/models tells of it.
  learn(model) {
    const { classes, labels, prompts, guided } = model?.conditions ?? {};
    const has = { label: Boolean(classes), prompt: Boolean(prompts), guidance: Boolean(guided) };
    if (model?.name !== this.model) {
      this.card.querySelectorAll("input").forEach((field) => { field.value = field.id === "guidance" ? (model?.settings.guidance ?? 1) : ""; });
    }
    this.card.querySelector("datalist").replaceChildren(...(labels ?? []).map((name) => new Option("", name))); // known once it is loaded
    this.model = model?.name ?? null;
    for (const [name, shown] of Object.entries(has)) this.card.querySelector(`#${name}-field`).hidden = !shown;
    this.has = has;
    this.card.hidden = !has.label && !has.prompt;
    this.told();
  }

  told() {
    this.card.querySelector("output[for=guidance]").value = this.guidance.value;
    this.guidance.disabled = !Object.keys(this.given).length; // it has no effect without
  }

  // Class and prompt, of which the model has and the user gave.
  get given() {
    const given = {};
    for (const name of ["label", "prompt"]) {
      const text = this.card.querySelector(`#${name}`).value.trim();
      if (this.has?.[name] && text) given[name] = text;
    }
    return given;
  }

  // Those of the API that were given.
  get parameters() {
    const given = this.given;
    if (this.has?.label && !given.label && !this.has.guidance) given.label = "auto"; // it fills under classes only
    if (this.has?.guidance && Object.keys(given).length) given.guidance = this.guidance.value;
    return given;
  }
}

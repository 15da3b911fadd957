// Editing a text in its place. What is typed is remembered under a name until it is saved or given up.
import { inWords } from "./api.js";
import { element } from "./dom.js";
import { countGraphemes } from "./graphemes.js";
import { recall, remember } from "./store.js";

export const hasUnsavedEdit = (name) => recall(`edit.${name}`, null) !== null;
export const forgetEdit = (name) => remember(`edit.${name}`, null);

function fitHeight(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

// options: name, label, text, note (a line below it, or ""), onCount(graphemes), onSave(text) that may be a promise, onClose().
export function makeEditor(options) {
  const key = `edit.${options.name}`;
  const problem = element("p", { class: "field-error", role: "alert", id: `problem-${options.name}`, hidden: true });
  const field = element("textarea", {
    class: "edit-field", "aria-label": options.label, "aria-describedby": problem.id, rows: 2, spellcheck: "true",
  });
  const save = element("button", { type: "button", class: "primary small", text: "Save" });
  const cancel = element("button", { type: "button", class: "secondary small", text: "Cancel" });
  const note = element("p", { class: "hint", id: `note-${options.name}`, text: options.note ?? "", hidden: !options.note });
  if (options.note) field.setAttribute("aria-describedby", `${note.id} ${problem.id}`);
  const made = element("div", { class: "editor" }, field, note, problem,
    element("div", { class: "editor-actions" }, save, cancel,
      element("span", { class: "hint keys", text: "Ctrl+Enter saves, Esc cancels" })));

  const close = () => {
    remember(key, null);
    options.onClose();
  };
  const complain = (text) => {
    problem.textContent = text;
    problem.hidden = false;
    field.setAttribute("aria-invalid", "true");
  };
  const finish = async () => {
    const text = field.value.trim();
    if (text === "") {
      complain("A post needs some text. Write a word, or press Cancel.");
      field.focus();
      return;
    }
    save.disabled = true;
    try {
      await options.onSave(text);
      close();
    } catch (error) {
      complain(`Not saved. ${inWords(error)} Your text is still here.`);
    } finally {
      save.disabled = false;
    }
  };

  field.value = recall(key, options.text);
  field.addEventListener("input", () => {
    remember(key, field.value);
    problem.hidden = true;
    field.removeAttribute("aria-invalid");
    fitHeight(field);
    options.onCount(countGraphemes(field.value));
  });
  made.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) finish();
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  save.addEventListener("click", finish);
  cancel.addEventListener("click", close);
  return {
    element: made,
    start(focus = true) {
      fitHeight(field);
      options.onCount(countGraphemes(field.value));
      if (focus) {
        field.focus({ preventScroll: true });
        field.setSelectionRange(field.value.length, field.value.length);
      }
    },
  };
}

/** Copies a text; false when the browser does not allow it. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyFromElement(text);
  }
}

// A page that came over plain HTTP from another host than localhost has no clipboard API.
function copyFromElement(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("readonly", "");
  area.style.position = "fixed";
  area.style.opacity = "0";
  document.body.append(area);
  area.select();
  try {
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way left there
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    area.remove();
  }
}

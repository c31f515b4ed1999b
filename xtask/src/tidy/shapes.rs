//! A public function with a tensor in its signature has `# Shapes` in its documentation.
//!
//! The slow twins in `reference.rs` have the names and shapes of the functions that they are twins
//! of, and need not repeat them.

use super::Finding;
use super::tree::Tree;

const FOLDERS: [&str; 3] =
    ["crates/mmad/src/methods/", "crates/mmad/src/nn/", "crates/mmad/src/ops/"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust() {
        let is_twin = path.ends_with("/reference.rs");
        if is_twin || !FOLDERS.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            if !line.starts_with("pub fn ") && !line.starts_with("pub const fn ") {
                continue;
            }
            if has_tensor(&lines[index..]) && !says_shapes(&lines[..index]) {
                let name = line.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next());
                let message = format!(
                    "`{}` takes or returns a tensor: add `/// # Shapes` with one line per tensor",
                    name.unwrap_or_default()
                );
                findings.push(Finding::new(path, index + 1, message));
            }
        }
    }
    findings
}

/// Whether the signature that begins with the first line names a tensor.
fn has_tensor(lines: &[&str]) -> bool {
    let end = lines.iter().position(|line| line.contains('{') || line.ends_with(';'));
    let signature = &lines[..=end.unwrap_or(lines.len() - 1)];
    signature.iter().any(|line| line.split('{').next().unwrap_or(line).contains("Tensor<"))
}

/// Whether the documentation that ends with the last line has the section.
fn says_shapes(lines: &[&str]) -> bool {
    lines
        .iter()
        .rev()
        .take_while(|line| line.starts_with("///") || line.starts_with("#["))
        .any(|line| *line == "/// # Shapes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    const PATH: &str = "crates/mmad/src/nn/linear.rs";

    #[test]
    fn tensors_have_shapes() {
        let text = "/// Applies it.\n///\n/// # Shapes\n///\n/// - `x`: `[b, c]`\n#[must_use]\n\
                    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {\n    x\n}\n\n\
                    /// Its width.\npub fn width(&self) -> usize {\n    Tensor::<1>::zeros()\n}\n";
        assert_eq!(said(check, &[(PATH, text)]), [""; 0]);
    }

    #[test]
    fn a_tensor_on_a_later_line_of_the_signature_counts() {
        let text = "/// Adds.\n///\n/// # Shapes of others\npub fn add<const D: usize>(\n    \
                    a: Tensor<D>,\n) -> f64 {\n";
        let elsewhere = ["crates/mmad/src/ops/reference.rs", "crates/mmad/src/fit.rs"];
        let said = said(check, &[(PATH, text), (elsewhere[0], text), (elsewhere[1], text)]);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with(&format!("{PATH}:4: `add` takes or returns")), "{}", said[0]);
    }
}

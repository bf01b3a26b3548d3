//! Volumes by their labels, as compose marks those that it makes.

use serde::Deserialize;

use super::{Engine, EngineError, call::json_of, percent_encoded};

#[derive(Deserialize)]
struct Volumes {
    #[serde(rename = "Volumes", default)]
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
struct Volume {
    #[serde(rename = "Name")]
    name: String,
}

impl Engine {
    /// Removes the volumes that have a label, `KEY=VALUE`; how many there were.
    ///
    /// # Errors
    /// [`EngineError`], [`EngineError::Conflict`] if a container uses one of them.
    pub async fn remove_volumes(&self, label: &str) -> Result<usize, EngineError> {
        let call = self.call("list the volumes".to_owned());
        let about = call.about.clone();
        let filters = serde_json::json!({ "label": [label] }).to_string();
        let json = call.get(&format!("/volumes?filters={}", percent_encoded(&filters))).json().await?;
        let volumes = json_of::<Volumes>(&json, about)?.volumes.unwrap_or_default();
        for Volume { name } in &volumes {
            let call = self.call(format!("remove volume {name}"));
            call.delete(&format!("/volumes/{}", percent_encoded(name))).json().await?;
        }
        Ok(volumes.len())
    }
}

//! How a cluster is reached: a kubeconfig, or the ServiceAccount of the pod that this runs in.

use std::path::PathBuf;
use std::time::Duration;

use keystile_system::Environment;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use crate::ApiError;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How a cluster is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// By these kubeconfig files, merged as kubectl merges them.
    Kubeconfig(Vec<PathBuf>),
    /// As the pod that this process runs in.
    InCluster,
}

impl Access {
    /// As kubectl finds it: `KUBECONFIG`, else `~/.kube/config` where there is one; else as the pod.
    pub fn of(environment: &dyn Environment) -> Self {
        let named = environment.get("KUBECONFIG").unwrap_or_default();
        let named: Vec<PathBuf> =
            named.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        if !named.is_empty() {
            return Self::Kubeconfig(named);
        }
        let usual = environment.get("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
        match usual.filter(|path| path.is_file()) {
            Some(path) => Self::Kubeconfig(vec![path]),
            None => Self::InCluster,
        }
    }

    /// A client. Files that it names are read now.
    pub(crate) async fn client(&self) -> Result<kube::Client, ApiError> {
        let mut config = match self {
            Self::Kubeconfig(files) => {
                let failed = |error: kube::config::KubeconfigError| {
                    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                    ApiError::Access(format!("the kubeconfig {} cannot be used: {error}", files.join(":")))
                };
                let merge = |merged: Kubeconfig, file: &PathBuf| merged.merge(Kubeconfig::read_from(file)?);
                let merged = files.iter().try_fold(Kubeconfig::default(), merge).map_err(failed)?;
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(merged, &options).await.map_err(failed)?
            }
            Self::InCluster => Config::incluster().map_err(|error| {
                ApiError::Access(format!(
                    "there is no kubeconfig, and this is no pod of a cluster ({error}); set KUBECONFIG"
                ))
            })?,
        };
        config.connect_timeout = Some(CONNECT);
        // A change whose fate is unknown must be looked at, not sent again.
        config.default_retry = false;
        kube::Client::try_from(config)
            .map_err(|error| ApiError::Access(format!("the cluster cannot be talked to: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Variables(BTreeMap<&'static str, String>);

    impl Environment for Variables {
        fn get(&self, name: &str) -> Option<String> {
            self.0.get(name).cloned()
        }

        fn names(&self, prefix: &str) -> Vec<String> {
            self.0.keys().filter(|name| name.starts_with(prefix)).map(ToString::to_string).collect()
        }
    }

    #[test]
    fn kubeconfig_wins_then_the_usual_file_then_the_pod() {
        let home = tempfile::tempdir().expect("a directory");
        let mut variables = Variables(BTreeMap::from([("HOME", home.path().display().to_string())]));
        assert_eq!(Access::of(&variables), Access::InCluster);
        let usual = home.path().join(".kube/config");
        std::fs::create_dir(home.path().join(".kube")).expect("made");
        std::fs::write(&usual, "").expect("written");
        assert_eq!(Access::of(&variables), Access::Kubeconfig(vec![usual]));
        variables.0.insert("KUBECONFIG", "/a::/b".to_owned());
        assert_eq!(Access::of(&variables), Access::Kubeconfig(vec!["/a".into(), "/b".into()]));
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let access = Access::Kubeconfig(vec!["/nowhere/kubeconfig".into()]);
        let error = access.client().await.err().expect("an error").to_string();
        assert!(error.contains("/nowhere/kubeconfig"), "{error}");
    }
}
